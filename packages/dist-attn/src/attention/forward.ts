import { all_reduce } from '@magi-attention/comm'
import { flex_flash_attn_forward } from '@magi-attention/ffa-kernel'
import { cat, type Tensor, tidy } from '@magi-attention/tensor'
import type { RuntimeSwitches } from '../env.js'
import { RemoteKeys } from './key-exchange.js'
import { accumulationDType, type DistAttnPart, type KeyValue, maskOf, type Scores } from './stage.js'

export interface DistForwardInputs extends KeyValue {
  readonly q: Tensor
  readonly sink: Tensor | null
}

export interface DistForwardOptions {
  readonly scores: Scores
  readonly switches: RuntimeSwitches
  readonly returnMaxLogits: boolean
  /** Whether to hand out the keys and values of the last stage. */
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
 * The host stage sees the rank's own keys, and the sink: every query has exactly one host stage, so the sink counts
 * once. Each remote stage is merged into `out` and `lse` by the kernel. All of a stage's communication takes place even
 * if this rank computes nothing there, since others may.
 */
export function distForward(
  part: DistAttnPart,
  inputs: DistForwardInputs,
  options: DistForwardOptions,
): DistForwardResult {
  return tidy(() => {
    const { overlap_degree, no_overlap } = part.plan.calc_meta
    const result =
      overlap_degree === 0 || no_overlap
        ? forwardAtOnce(part, inputs, options)
        : forwardByStages(part, inputs, options)
    if (result.maxLogits) all_reduce(result.maxLogits, { op: 'max', group: part.group })
    return result
  })
}

/** One kernel call over all keys, once they are there. */
function forwardAtOnce(
  part: DistAttnPart,
  { q, k, v, sink }: DistForwardInputs,
  { scores, returnMaxLogits, switches }: DistForwardOptions,
): DistForwardResult {
  const { calc_meta } = part.plan
  const all = joinKeys(part, { k, v }, switches)
  const [out, { lse, max_logits }] = flex_flash_attn_forward({
    q,
    ...all,
    ...maskOf(calc_meta.merged_attn_arg ?? calc_meta.local_attn_arg),
    ...scores,
    sink,
    return_max_logits: returnMaxLogits,
  })
  return { out, lse, maxLogits: max_logits, tail: null }
}

/** `[own keys; remote keys]`, and the values likewise. */
export function joinKeys(part: DistAttnPart, own: KeyValue, switches: RuntimeSwitches): KeyValue {
  const stages = stagesOf(part)
  if (stages.length === 0) return own
  const remote = new RemoteKeys(part, own, stages, switches.cudaDeviceMaxConnections === 1)
  const all = [own, ...stages.map(stage => remote.take(stage))]
  return { k: cat(all.map(({ k }) => k)), v: cat(all.map(({ v }) => v)) }
}

export function stagesOf(part: DistAttnPart): number[] {
  return Array.from({ length: part.plan.calc_meta.overlap_degree }, (_, stage) => stage)
}

function forwardByStages(
  part: DistAttnPart,
  { q, k, v, sink }: DistForwardInputs,
  { scores, returnMaxLogits, keepsTail, switches }: DistForwardOptions,
): DistForwardResult {
  const { local_attn_arg, remote_attn_args_list } = part.plan.calc_meta
  const stages = stagesOf(part)
  const remote = new RemoteKeys(part, { k, v }, stages, switches.cudaDeviceMaxConnections === 1)
  const [out, { lse, max_logits: maxLogits }] = flex_flash_attn_forward({
    q,
    k,
    v,
    ...maskOf(local_attn_arg),
    ...scores,
    sink,
    return_max_logits: returnMaxLogits,
    out_dtype: accumulationDType(q.dtype),
  })
  let tail: KeyValue | null = null
  for (const stage of stages) {
    const arg = remote_attn_args_list[stage]!
    const keys = remote.take(stage)
    if (!arg.can_skip()) {
      const [, { max_logits: ofStage }] = flex_flash_attn_forward({
        q,
        ...keys,
        ...maskOf(arg),
        ...scores,
        return_max_logits: returnMaxLogits,
        out,
        lse,
      })
      if (maxLogits && ofStage) raiseTo(maxLogits, ofStage)
    }
    if (keepsTail && stage === stages.length - 1) {
      tail = keys
    } else {
      keys.k.dispose()
      keys.v.dispose()
    }
  }
  return { out: out.to(q.dtype), lse, maxLogits, tail }
}

/** `target = max(target, other)`, for a few numbers. */
export function raiseTo(target: Tensor, other: Tensor): void {
  const values = target.to_typed_array() as Float32Array | Float64Array
  const others = other.to_typed_array() as Float32Array | Float64Array
  target.copy_(values.map((value, i) => Math.max(value, others[i]!)))
}
