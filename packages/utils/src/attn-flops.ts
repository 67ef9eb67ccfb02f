import { requireCount, requirePositive } from './require.js'

/** What {@link attn_flops} counts. */
export interface AttnFlopsOptions {
  /** Attended cells of the mask: `sq * sk` for a full one, else see `bandArea` of `@magi-attention/common`. */
  readonly area: number
  readonly num_heads_q: number
  readonly head_dim: number
  /** Count the backward pass instead of the forward pass. Default: false. */
  readonly backward?: boolean
}

/**
 * Floating-point operations of attention, by the exact area of the mask: two products of 2 * head_dim
 * operations for each attended cell and query head, `4 * area * head_dim * num_heads_q`; backward has five
 * products, 2.5 times as much.
 * The convention is that of FlashAttention and MagiAttention.
 * @throws `ArgumentError` when a number is negative, or a count is not a whole number.
 */
export function attn_flops(options: AttnFlopsOptions): number {
  const { area, num_heads_q: numHeads, head_dim: headDim, backward = false } = options
  requireCount('area', area)
  requireCount('num_heads_q', numHeads)
  requireCount('head_dim', headDim)
  return 4 * area * headDim * numHeads * (backward ? BACKWARD_RATIO : 1)
}

/** Backward recomputes the logits and has four more products, where forward has two. */
const BACKWARD_RATIO = 2.5

/** What {@link get_calc_cost_factor} needs. */
export interface CalcCostOptions {
  readonly num_heads_q: number
  readonly head_dim: number
  /**
   * Peak of the device. In operations a second, the result is in microseconds (with the default `sec_ratio`); in
   * 1e12 operations a second it is 1e12 times that, which is fine where only ratios to a bandwidth in 1e12 count.
   */
  readonly tflops: number
  /** Share of the peak that the kernel reaches, in (0, 1]. */
  readonly mfu: number
  /** Units of the result in one second. Default: 1e6, microseconds. */
  readonly sec_ratio?: number
  /** Forward (default) or backward. */
  readonly is_fwd?: boolean
}

/**
 * Time to compute one attended cell: `4 * num_heads_q * head_dim / tflops / mfu * sec_ratio`, and 2.5 times
 * that backward.
 * @throws `ArgumentError` when a number is not positive.
 */
export function get_calc_cost_factor(options: CalcCostOptions): number {
  const { num_heads_q: numHeads, head_dim: headDim, tflops, mfu, sec_ratio = 1e6, is_fwd = true } = options
  requireCount('num_heads_q', numHeads)
  requireCount('head_dim', headDim)
  requirePositive('tflops', tflops)
  requirePositive('mfu', mfu)
  requirePositive('sec_ratio', sec_ratio)
  return ((4 * numHeads * headDim) / tflops / mfu) * sec_ratio * (is_fwd ? 1 : BACKWARD_RATIO)
}

/** What {@link get_comm_cost_factor} needs. */
export interface CommCostOptions {
  readonly num_heads_kv: number
  readonly head_dim: number
  /** Peak of the link, in elements a second. */
  readonly bandwidth: number
  /** Share of the peak that the collective reaches, in (0, 1]. */
  readonly bwu: number
  /** Share of the data that crosses the link: {@link get_a2a_corr_factor}. */
  readonly corr_factor: number
  /** Units of the result in one second. Default: 1e6, microseconds. */
  readonly sec_ratio?: number
}

/**
 * Time to move the keys and values of one token:
 * `2 * num_heads_kv * head_dim / bandwidth / corr_factor / bwu * sec_ratio`.
 * @throws `ArgumentError` when a number is not positive.
 */
export function get_comm_cost_factor(options: CommCostOptions): number {
  const { num_heads_kv: numHeads, head_dim: headDim, bandwidth, bwu, corr_factor, sec_ratio = 1e6 } = options
  requireCount('num_heads_kv', numHeads)
  requireCount('head_dim', headDim)
  requirePositive('bandwidth', bandwidth)
  requirePositive('bwu', bwu)
  requirePositive('corr_factor', corr_factor)
  requirePositive('sec_ratio', sec_ratio)
  return ((2 * numHeads * headDim) / bandwidth / corr_factor / bwu) * sec_ratio
}

/**
 * Share of an all-to-all that leaves the rank: `(world_size - 1) / world_size`, and 1 for a single rank.
 * @throws `ArgumentError` when `world_size` is not a whole number.
 */
export function get_a2a_corr_factor(world_size: number): number {
  requireCount('world_size', world_size)
  return world_size <= 1 ? 1 : (world_size - 1) / world_size
}
