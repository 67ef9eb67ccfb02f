import { AttnArg, type CalcMeta } from '@magi-attention/dispatch'
import { type CallSizes, costsOf } from './call-costs.js'

/**
 * One kernel call of a rank. Its keys are one buffer: the rank's own keys, in the first call only, and behind them those of
 * some consecutive remote stages.
 */
export interface KernelCall {
  readonly hasOwnKeys: boolean
  readonly stages: readonly number[]
  /** Keys in the buffer. */
  readonly seqlen_k: number
  /** The queries that the call computes for: all in the first call, later those around the cells of its stages. */
  readonly rows: { readonly start: number; readonly length: number }
  /** The mask, in positions of `rows` and of the buffer. */
  readonly arg: AttnArg
}

/** Whether stages may share a call: where that is expected to be faster, never, or all of them with the own keys. */
export type MergePolicy = 'auto' | 'never' | 'all'

/**
 * The kernel calls of a rank, in order; each stage is in one of them, and stages keep their order.
 *
 * A call of its own lets a stage be computed while later ones are on their way, but reads and writes outputs and gradients of
 * its queries once more. Whether that pays follows from sizes and the device alone, so that results are the same bits
 * in every run. What travels, and in which order, is not touched.
 */
export function planKernelCalls(calc_meta: CalcMeta, sizes: CallSizes, policy: MergePolicy): KernelCall[] {
  const { overlap_degree: degree } = calc_meta
  if (policy === 'all') return [makeCall(calc_meta, true, 0, degree)]
  const ends = policy === 'auto' ? cheapestEnds(calc_meta, sizes) : range(degree + 1)
  return ends.map((end, i) => makeCall(calc_meta, i === 0, i === 0 ? 0 : ends[i - 1]!, end))
}

/**
 * For each call the end of its stages, such that the rank is done first. Calls run one after the other, and not before their keys
 * are there; stages arrive one after the other from the start on.
 */
function cheapestEnds(calc_meta: CalcMeta, sizes: CallSizes): number[] {
  const costs = costsOf(calc_meta, sizes)
  const degree = calc_meta.overlap_degree
  const done: number[] = []
  const previous: number[] = []
  for (let end = 0; end <= degree; end++) {
    done[end] = costs.arrival(end) + costs.first(end)
    previous[end] = -1
    for (let begin = 0; begin < end; begin++) {
      const time = Math.max(done[begin]!, costs.arrival(end)) + costs.later(begin, end)
      if (time >= done[end]!) continue
      done[end] = time
      previous[end] = begin
    }
  }
  const ends: number[] = []
  for (let end = degree; end >= 0; end = previous[end]!) ends.unshift(end)
  return ends
}

function makeCall(calc_meta: CalcMeta, hasOwnKeys: boolean, begin: number, end: number): KernelCall {
  const { local_attn_arg, remote_attn_args_list, seqlen_k_local, seqlen_k_per_remote_stage } = calc_meta
  const stages = range(end).slice(begin)
  const parts = stages.map(stage => ({
    arg: remote_attn_args_list[stage]!,
    seqlen_k: seqlen_k_per_remote_stage[stage]!,
  }))
  if (hasOwnKeys) parts.unshift({ arg: local_attn_arg, seqlen_k: seqlen_k_local })
  const seqlen_k = parts.reduce((sum, part) => sum + part.seqlen_k, 0)
  const joined = parts.length === 1 ? parts[0]!.arg : AttnArg.join(parts)
  if (hasOwnKeys) {
    const rows = { start: 0, length: calc_meta.seqlen_q_shard }
    return { hasOwnKeys, stages, seqlen_k, rows, arg: joined }
  }
  const { q_ranges } = joined
  if (q_ranges.is_empty()) return { hasOwnKeys, stages, seqlen_k, rows: { start: 0, length: 0 }, arg: joined }
  const { start, end: rowsEnd } = q_ranges
  const arg = start === 0 ? joined : joined.move_queries(-start)
  return { hasOwnKeys, stages, seqlen_k, rows: { start, length: rowsEnd - start }, arg }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i)
}
