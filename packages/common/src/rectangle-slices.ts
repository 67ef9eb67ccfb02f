import { AttnMaskType, attn_mask_type_from } from './attn-mask-type.js'
import { AttnRange, checkInteger, type RangeLike } from './attn-range.js'
import { ArgumentError } from './errors/index.js'

/**
 * A rectangle of queries and keys with a band of diagonals. Query `i` attends to key `j` if and only if
 * `q0 <= i < q1`, `k0 <= j < k1` and `lo <= j - i <= hi`: half-open ranges, a closed band, whose bounds may
 * be infinite. Empty ranges, ends below their starts and `lo > hi` are legal and mean a band without cells,
 * so the bounds of two bands can be intersected without a case distinction.
 */
export interface Band {
  readonly q0: number
  readonly q1: number
  readonly k0: number
  readonly k1: number
  /** Smallest `j - i`, or `-Infinity`. */
  readonly lo: number
  /** Greatest `j - i`, or `Infinity`. */
  readonly hi: number
}

/** One entry of a mask as users write it. */
export interface TypedSlice {
  readonly q_range: AttnRange
  readonly k_range: AttnRange
  readonly mask_type: AttnMaskType
}

/**
 * The band of a slice: `full` has no bound, `causal` ends at the diagonal of the bottom-right corner,
 * `inv_causal` begins at the diagonal of the top-left corner, and `bi_causal` does both.
 * @throws {@link ArgumentError} for bad ranges or an unknown type
 */
export function sliceToBand(q_range: RangeLike, k_range: RangeLike, mask_type: AttnMaskType | number): Band {
  const { start: q0, end: q1 } = AttnRange.from_range(q_range, true)
  const { start: k0, end: k1 } = AttnRange.from_range(k_range, true)
  const type = attn_mask_type_from(mask_type, 'mask_type')
  const { CAUSAL, INV_CAUSAL, BI_CAUSAL } = AttnMaskType
  const lo = type === INV_CAUSAL || type === BI_CAUSAL ? k0 - q0 : Number.NEGATIVE_INFINITY
  const hi = type === CAUSAL || type === BI_CAUSAL ? k1 - q1 : Number.POSITIVE_INFINITY
  return { q0, q1, k0, k1, lo, hi }
}

/** The cells of both bands. */
export function intersectBands(a: Band, b: Band): Band {
  return {
    q0: Math.max(a.q0, b.q0),
    q1: Math.min(a.q1, b.q1),
    k0: Math.max(a.k0, b.k0),
    k1: Math.min(a.k1, b.k1),
    lo: Math.max(a.lo, b.lo),
    hi: Math.min(a.hi, b.hi),
  }
}

/**
 * The smallest band with the same cells, or `null` when there are none. All its bounds are finite; each of
 * its rows, columns and diagonals holds a cell, so two tight bands have the same cells if and only if they
 * are equal.
 * @throws {@link ArgumentError} for bounds that are not integers (`lo` and `hi` may be infinite)
 */
export function tightenBand(band: Band): Band | null {
  checkBand(band)
  if (!(band.q0 < band.q1 && band.k0 < band.k1)) return null
  const lo = Math.max(band.lo, band.k0 - (band.q1 - 1))
  const hi = Math.min(band.hi, band.k1 - 1 - band.q0)
  if (!(lo <= hi)) return null
  const q0 = Math.max(band.q0, band.k0 - hi)
  const q1 = Math.min(band.q1, band.k1 - lo)
  const k0 = Math.max(band.k0, q0 + lo)
  const k1 = Math.min(band.k1, q1 + hi)
  return q0 < q1 && k0 < k1 ? { q0, q1, k0, k1, lo, hi } : null
}

/**
 * Slices that cover exactly the cells of a band, each once, ascending by query; rows without a cell are in no
 * slice.
 *
 * In a tight band the left edge runs straight down to row `left`, then along the diagonal `lo`; the right
 * edge runs along the diagonal `hi` down to row `right`, then straight. Rows between two such bends are one
 * slice, so two cuts and three slices suffice for every band. No other split by rows needs fewer slices.
 *
 * @throws {@link ArgumentError} for bounds that are not integers (`lo` and `hi` may be infinite)
 */
export function bandToSlices(band: Band): TypedSlice[] {
  const tight = tightenBand(band)
  if (tight === null) return []
  const { q0, q1, k0, k1, lo, hi } = tight
  const left = k0 - lo
  const right = k1 - 1 - hi

  /** Type of the rows `[start, end)`, when they are one slice. */
  const typeOfRows = (start: number, end: number): AttnMaskType | undefined => {
    const last = end - 1
    if (start === last || (last <= left && start >= right)) return AttnMaskType.FULL
    if (last <= left && last <= right) return AttnMaskType.CAUSAL
    if (start >= left && start >= right) return AttnMaskType.INV_CAUSAL
    if (start >= left && last <= right) return AttnMaskType.BI_CAUSAL
    return undefined
  }

  // The row of a bend fits to the rows above and below it, so bends next to each other share a cut.
  let cuts: number[]
  if (typeOfRows(q0, q1) !== undefined) cuts = []
  else if (left === q1 - 1) cuts = [right + 1]
  else if (right === q0) cuts = [left]
  else if (right < left) cuts = [right + 1, left]
  else if (right <= left + 1) cuts = [right]
  else cuts = [left, right + 1]

  const slices: TypedSlice[] = []
  let start = q0
  for (const end of [...cuts, q1]) {
    if (end === start) continue
    slices.push({
      q_range: new AttnRange(start, end),
      k_range: new AttnRange(Math.max(k0, start + lo), Math.min(k1, end + hi)),
      mask_type: typeOfRows(start, end)!,
    })
    start = end
  }
  return slices
}

function checkBand(band: Band): void {
  checkInteger(band.q0, 'band.q0')
  checkInteger(band.q1, 'band.q1')
  checkInteger(band.k0, 'band.k0')
  checkInteger(band.k1, 'band.k1')
  checkDiagonal(band.lo, 'band.lo')
  checkDiagonal(band.hi, 'band.hi')
}

function checkDiagonal(value: number, argument: string): void {
  if (Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY)
    return
  throw new ArgumentError({ argument, expected: 'an integer or an infinity', actual: value })
}
