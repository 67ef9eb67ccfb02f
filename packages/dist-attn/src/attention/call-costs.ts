import type { CalcMeta } from '@magi-attention/dispatch'

/** Sizes of the tensors of a call. */
export interface CallSizes {
  readonly num_heads_q: number
  readonly num_heads_kv: number
  readonly head_dim: number
  /** Bytes of an element of q, k and v. */
  readonly elementBytes: number
}

/** Seconds by order of magnitude. Stages `[begin, end)` share a call. */
export interface CallCosts {
  /** Until the keys of the stages before `end` are there. */
  arrival(end: number): number
  /** To compute own keys and the stages before `end`. */
  first(end: number): number
  /** To compute some stages and to merge them into what is there. */
  later(begin: number, end: number): number
}

/**
 * What one rank on CPU cores does in a second. Measured on one machine and rounded: what is decided by them differs by
 * factors, and must not depend on the machine that decides.
 */
const flopsPerSecond = 2e11
const memoryBytesPerSecond = 6e9
const wireBytesPerSecond = 3e9

/** What the parts of a forward pass cost; backward is 2.5 times as much in all of them. */
export function costsOf(calc_meta: CalcMeta, sizes: CallSizes): CallCosts {
  const { num_heads_q, num_heads_kv, head_dim, elementBytes } = sizes
  const { local_attn_arg, remote_attn_args_list, seqlen_k_local, seqlen_k_per_remote_stage } = calc_meta
  const secondsPerCell = (4 * num_heads_q * head_dim) / flopsPerSecond
  const keyBytes = 2 * num_heads_kv * head_dim * elementBytes
  // q once more, and out once more to and fro, in float32.
  const rowBytes = num_heads_q * head_dim * (elementBytes + 8)

  const arrivals = [0]
  const computed = [secondsPerCell * local_attn_arg.total_area]
  remote_attn_args_list.forEach(({ total_area }, stage) => {
    const bytes = keyBytes * seqlen_k_per_remote_stage[stage]!
    arrivals.push(arrivals[stage]! + bytes / wireBytesPerSecond)
    computed.push(computed[stage]! + secondsPerCell * total_area)
  })
  // Own keys are copied beside those that arrive, read and written.
  const copying = (2 * keyBytes * seqlen_k_local) / memoryBytesPerSecond
  const merging = (begin: number, end: number): number => {
    const args = remote_attn_args_list.slice(begin, end).filter(arg => !arg.can_skip())
    if (args.length === 0) return 0
    const first = Math.min(...args.map(({ q_ranges }) => q_ranges.start))
    const last = Math.max(...args.map(({ q_ranges }) => q_ranges.end))
    return (rowBytes * (last - first)) / memoryBytesPerSecond
  }
  return {
    arrival: end => arrivals[end]!,
    first: end => computed[end]! + (end > 0 ? copying : 0),
    later: (begin, end) => computed[end]! - computed[begin]! + merging(begin, end),
  }
}
