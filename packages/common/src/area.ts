import type { AttnMaskType } from './attn-mask-type.js'
import type { RangeLike } from './attn-range.js'
import { type Band, sliceToBand, tightenBand } from './rectangle-slices.js'

/**
 * Number of cells of a band, in constant time; exact up to 2^53.
 *
 * Row `i` of a tight band holds `min(k1, i + hi + 1) - max(k0, i + lo)` cells. That is linear in `i` between
 * the two rows where an edge bends, so the area is the sum of at most three arithmetic series.
 *
 * @throws {@link ArgumentError} for bounds that are not integers (`lo` and `hi` may be infinite)
 */
export function bandArea(band: Band): number {
  const tight = tightenBand(band)
  if (tight === null) return 0
  const { q0, q1, k0, k1, lo, hi } = tight
  const rowSize = (i: number) => Math.min(k1, i + hi + 1) - Math.max(k0, i + lo)
  const rowsSize = (start: number, end: number) => {
    const count = end - start
    if (count <= 0) return 0
    const ends = rowSize(start) + rowSize(end - 1)
    // One factor is even: halving it first keeps every intermediate value below the result.
    return count % 2 === 0 ? (count / 2) * ends : count * (ends / 2)
  }
  const leftBend = k0 - lo
  const rightBend = k1 - 1 - hi
  const first = Math.min(leftBend, rightBend)
  const second = Math.max(leftBend, rightBend)
  return rowsSize(q0, first) + rowsSize(first, second) + rowsSize(second, q1)
}

/**
 * Number of cells of a slice, in constant time; exact up to 2^53.
 * @throws {@link ArgumentError} for bad ranges or an unknown type
 */
export function sliceArea(q_range: RangeLike, k_range: RangeLike, mask_type: AttnMaskType | number): number {
  return bandArea(sliceToBand(q_range, k_range, mask_type))
}
