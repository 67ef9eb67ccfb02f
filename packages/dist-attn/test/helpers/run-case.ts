import assert from 'node:assert/strict'
import { all_reduce, type ProcessGroup } from '@magi-attention/comm'
import { DispatchConfig, OverlapConfig } from '@magi-attention/dispatch'
import { flex_flash_attn_func } from '@magi-attention/ffa-kernel'
import { measureError, ref_attn_func } from '@magi-attention/ffa-kernel/reference'
import { manual_seed, no_grad, randn, type Tensor, tidy } from '@magi-attention/tensor'
import {
  calc_attn,
  DistAttnConfig,
  type DistAttnRuntimeKey,
  dispatch,
  dsink_all_reduce_op,
  magi_attn_flex_key,
  undispatch,
} from '../../src/index.js'
import type { AttentionCase } from './attention-case.js'

/** Error over the largest expected value that a dtype may show beyond that of one device. */
const bounds = { float64: 1e-12, float32: 1e-6, float16: 2e-3, bfloat16: 1.6e-2, int32: 0, int64: 0 }

export function makeKey(problem: AttentionCase, group: ProcessGroup): DistAttnRuntimeKey {
  const { q_ranges, k_ranges, attn_mask_type, total, chunk_size, uneven, degree, heads } = problem
  const overlap = degree === 'dynamic' ? ({ mode: 'dynamic', degree: null } as const) : { degree }
  return magi_attn_flex_key({
    q_ranges,
    k_ranges,
    attn_mask_type,
    total_seqlen_q: total,
    total_seqlen_k: total,
    num_heads_q: heads[0],
    num_heads_kv: heads[1],
    head_dim: heads[2],
    chunk_size,
    cp_group_or_mesh: group,
    dist_attn_config: new DistAttnConfig({
      dispatch_config: new DispatchConfig({ uneven_shard: uneven }),
      overlap_config: new OverlapConfig({ ...overlap, min_chunk_size: 5 }),
    }),
  })
}

/** What all ranks get together, whole tensors. */
export interface CaseResults {
  readonly out: Tensor
  readonly lse: Tensor
  /** null for keys that tell heads apart. */
  readonly maxLogits: Tensor | null
  readonly dq: Tensor
  readonly dk: Tensor
  readonly dv: Tensor
  readonly dsink: Tensor | null
}

/** The whole inputs, the same on every rank. */
export function makeInputs({ seed, total, heads, sinkTokens, dtype }: AttentionCase) {
  manual_seed(seed)
  const [hq, hkv, dim] = heads
  const q = randn(total, hq, dim, { dtype, requires_grad: true })
  const k = randn(total, hkv, dim, { dtype, requires_grad: true })
  const v = randn(total, hkv, dim, { dtype, requires_grad: true })
  const gradOut = randn(total, hq, dim, { dtype })
  const sinkDType = dtype === 'float64' ? 'float64' : 'float32'
  const sink = sinkTokens > 0 ? randn(sinkTokens, hq, { dtype: sinkDType, requires_grad: true }) : null
  return { q, k, v, gradOut, sink }
}

/** dispatch, calc_attn and undispatch, forward and backward; gradients flow through all of them. */
export function runCase(
  problem: AttentionCase,
  key: DistAttnRuntimeKey,
  { q, k, v, sink, gradOut }: ReturnType<typeof makeInputs>,
): CaseResults {
  const { softcap, softmax_scale } = problem
  const local = (x: Tensor) => dispatch({ x, key })
  const [localOut, meta] = calc_attn({
    q: local(q),
    k: local(k),
    v: local(v),
    key,
    sink,
    softcap,
    softmax_scale,
    return_max_logits: !key.flatten_head_groups,
  })
  const out = undispatch({ x: localOut, key })
  out.backward(gradOut)
  const dsink = sink === null ? null : sink.grad!
  if (dsink && dsink_all_reduce_op() === 'none') all_reduce(dsink, { group: key.cp_group })
  return {
    out: out.detach(),
    lse: no_grad(() => undispatch({ x: meta.lse, key })),
    maxLogits: meta.max_logits,
    dq: q.grad!.clone(),
    dk: k.grad!.clone(),
    dv: v.grad!.clone(),
    dsink: dsink?.clone() ?? null,
  }
}

/**
 * Compares with attention in float64 over the whole sequence, on one rank only since it is slow. The errors may be some
 * times those of one device, which rounds as often but for the sums over stages.
 */
export function compareWithReference(
  problem: AttentionCase,
  { q, k, v, sink, gradOut }: ReturnType<typeof makeInputs>,
  results: CaseResults,
): void {
  const { softcap, softmax_scale, q_ranges, k_ranges, attn_mask_type } = problem
  const mask = { q_ranges, k_ranges, attn_type_map: attn_mask_type }
  const reference = ref_attn_func({ q, k, v, sink, softcap, softmax_scale, ...mask, grad_out: gradOut })
  for (const leaf of [q, k, v, sink]) if (leaf) leaf.grad = null
  const [out, { lse, max_logits }] = flex_flash_attn_func({
    ...{ q, k, v, sink, softcap, softmax_scale, ...mask },
    return_max_logits: true,
  })
  out.backward(gradOut)
  const bound = bounds[problem.dtype]
  const check = (name: string, actual: Tensor, expected: Float64Array, onOneDevice: Tensor) => {
    const largest = expected.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 1)
    const allowed = bound * largest + 4 * largestError(onOneDevice, expected)
    const error = largestError(actual, expected)
    assert.ok(error <= allowed, `${problem.name}: ${name} is off by ${error}, at most ${allowed} is allowed`)
  }
  check('out', results.out, reference.out, out)
  check('lse', results.lse, reference.lse, lse)
  if (results.maxLogits) check('max_logits', results.maxLogits, reference.max_logits, max_logits!)
  check('dq', results.dq, reference.grads!.dq, q.grad!)
  check('dk', results.dk, reference.grads!.dk, k.grad!)
  check('dv', results.dv, reference.grads!.dv, v.grad!)
  if (results.dsink) check('dsink', results.dsink, reference.grads!.dsink!, sink!.grad!)
}

/** Equal infinities count as equal, a lone NaN as infinitely far. */
function largestError(actual: Tensor, expected: Float64Array): number {
  const values = tidy(() => actual.detach().to('float64').to_typed_array()) as Float64Array
  assert.equal(values.length, expected.length)
  return measureError(values, expected).maxAbs
}
