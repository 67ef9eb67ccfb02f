import { AttnMaskType } from '../attn-mask-type.js'
import type { RangeLike } from '../attn-range.js'
import { type InferredMask, SliceList } from './slice-list.js'
import { requireOptions, requireRange, requireWindowSize } from './validate.js'

export interface InferAttnMaskFromSlidingWindowOptions {
  /** Query tokens, an `AttnRange` or `[start, end]`. */
  q_range: RangeLike
  /** Key tokens, an `AttnRange` or `[start, end]`. */
  k_range: RangeLike
  /** Keys to the left and to the right of a row's centre; -1, or any value >= sk - 1, is unlimited. */
  window_size: readonly [left: number, right: number]
}

/**
 * The slices of a sliding-window mask. With `sq` queries and `sk` keys, row `i` is centred on key
 * `c = i + (sk - sq)` (bottom-right aligned) and attends to keys `[c - left, c + right]` of `k_range`.
 * If `sq > sk`, the first `sq - sk` rows have no centre and attend to nothing, whatever the window.
 * At most three slices come back, in row order; every attended cell is in exactly one of them.
 *
 * @throws {@link InvalidRangeError} for a range that is not a pair of integers with start <= end.
 * @throws {@link ArgumentError} for a window that is not two integers >= -1.
 */
export function infer_attn_mask_from_sliding_window(
  options: InferAttnMaskFromSlidingWindowOptions,
): InferredMask {
  requireOptions('infer_attn_mask_from_sliding_window', options)
  const q = requireRange('q_range', options.q_range)
  const k = requireRange('k_range', options.k_range)
  const slices = new SliceList()
  addSlidingWindow(slices, q, k, requireWindowSize(options.window_size))
  return slices.toMask()
}

interface Bounds {
  readonly start: number
  readonly end: number
}

/** Appends the slices of a sliding window on `q` x `k`. Arguments are valid. */
export function addSlidingWindow(
  slices: SliceList,
  q: Bounds,
  k: Bounds,
  [left, right]: readonly [number, number],
): void {
  const sk = k.end - k.start
  const rows = Math.min(q.end - q.start, sk)
  if (rows === 0) return
  const before = isUnlimited(left, sk) ? sk : left
  const after = isUnlimited(right, sk) ? sk : right
  const firstRow = q.end - rows

  // The window is a band on keys [bandStart, k.end + after), of which only [start, k.end) exist. While the
  // band sticks out on the left, its left edge does not cut (rows < leftFree); once it sticks out on the
  // right, its right edge does not (rows >= rightFree).
  const bandStart = k.end - rows - before
  const start = Math.max(k.start, bandStart)
  const leftFree = Math.min(start - bandStart, rows)
  const rightFree = Math.max(0, rows - after)
  const lo = firstRow + Math.min(leftFree, rightFree)
  const hi = firstRow + Math.max(leftFree, rightFree)
  const reach = before + after

  slices.add(firstRow, lo, start, Math.min(k.end, start + reach), AttnMaskType.CAUSAL)
  const middle = leftFree > rightFree ? AttnMaskType.FULL : AttnMaskType.BI_CAUSAL
  slices.add(lo, hi, start, k.end, middle)
  slices.add(hi, q.end, Math.max(start, k.end - reach), k.end, AttnMaskType.INV_CAUSAL)
}

/** A window side that cannot exclude any of `sk` keys from a row whose centre is one of them. */
export function isUnlimited(size: number, sk: number): boolean {
  return size === -1 || size >= sk - 1
}
