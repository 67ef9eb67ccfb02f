import { all_reduce } from '@magi-attention/comm'
import { flex_flash_attn_forward } from '@magi-attention/ffa-kernel'
import { type Tensor, tidy } from '@magi-attention/tensor'
import type { RuntimeSwitches } from '../env.js'
import type { KernelCall } from './kernel-calls.js'
import { CallKeys } from './key-exchange.js'
import { accumulationDType, type DistAttnPart, type KeyValue, maskOf, rowsOf, type Scores } from './stage.js'

export interface DistForwardInputs extends KeyValue {
  readonly q: Tensor
  readonly sink: Tensor | null
}

export interface DistForwardOptions {
  readonly scores: Scores
  readonly switches: RuntimeSwitches
  readonly returnMaxLogits: boolean
  /** Whether to hand out the keys and values of the last call. */
  readonly keepsTail: boolean
}

export interface DistForwardResult {
  /** `[shard_seqlen, num_heads_q, head_dim]`, dtype of q. */
  readonly out: Tensor
  /** `[shard_seqlen, num_heads_q]`, of all stages together. */
  readonly lse: Tensor
  /** `[num_heads_q]`, of all ranks; null unless asked for. */
  readonly maxLogits: Tensor | null
  readonly tail: KeyValue | null
}

/**
 * The first call sees the rank's own keys, and the sink: every query is in exactly one first call, so the sink counts
 * once. Each later one is merged into `out` and `lse` by the kernel. All of a stage's communication takes place even
 * if this rank computes nothing there, since others may.
 */
export function distForward(
  part: DistAttnPart,
  inputs: DistForwardInputs,
  options: DistForwardOptions,
): DistForwardResult {
  return tidy(() => {
    const result = forwardByCalls(part, inputs, options)
    if (result.maxLogits) all_reduce(result.maxLogits, { op: 'max', group: part.group })
    return result
  })
}

function forwardByCalls(
  part: DistAttnPart,
  { q, k, v, sink }: DistForwardInputs,
  { scores, returnMaxLogits, keepsTail, switches }: DistForwardOptions,
): DistForwardResult {
  const [first, ...later] = part.calls as readonly [KernelCall, ...KernelCall[]]
  const isStageByStage = switches.cudaDeviceMaxConnections === 1
  const callKeys = new CallKeys(part, { k, v }, part.calls, { isStageByStage })
  const firstKeys = callKeys.take(first)
  const [out, { lse, max_logits: maxLogits }] = flex_flash_attn_forward({
    q,
    ...firstKeys,
    ...maskOf(first.arg),
    ...scores,
    sink,
    return_max_logits: returnMaxLogits,
    out_dtype: later.length === 0 ? q.dtype : accumulationDType(q.dtype),
  })
  callKeys.release(firstKeys)
  let tail: KeyValue | null = null
  for (const call of later) {
    const keys = callKeys.take(call)
    if (!call.arg.can_skip()) {
      const [, { max_logits: ofCall }] = flex_flash_attn_forward({
        q: rowsOf(q, call),
        ...keys,
        ...maskOf(call.arg),
        ...scores,
        return_max_logits: returnMaxLogits,
        out: rowsOf(out, call),
        lse: rowsOf(lse, call),
      })
      if (maxLogits && ofCall) raiseTo(maxLogits, ofCall)
    }
    if (keepsTail && call === later.at(-1)) tail = keys
    else callKeys.release(keys)
  }
  return { out: out.to(q.dtype), lse, maxLogits, tail }
}

/** `target = max(target, other)`, for a few numbers. */
export function raiseTo(target: Tensor, other: Tensor): void {
  const values = target.to_typed_array() as Float32Array | Float64Array
  const others = other.to_typed_array() as Float32Array | Float64Array
  target.copy_(values.map((value, i) => Math.max(value, others[i]!)))
}
