import { ArgumentError, type Band } from '@magi-attention/common'
import { BAND_FIELDS, UNBOUNDED } from './tile-plan.js'

/**
 * Writes bands as integers to `out` from `offset` on, six each: row0, row1, col0, col1, lo, hi, with bounds
 * cut to ±2^30. What is written tells any two masks apart, so it also serves as a cache key.
 *
 * @throws ArgumentError for a coordinate that is not an integer of at most 2^30, or a bound that is neither
 * an integer nor infinite.
 */
export function packBands(bands: readonly Band[], out: Int32Array, offset: number): void {
  let at = offset
  for (let index = 0; index < bands.length; index++) {
    const { q0, q1, k0, k1, lo, hi } = bands[index]!
    if (!(isCoordinate(q0) && isCoordinate(q1) && isCoordinate(k0) && isCoordinate(k1))) {
      throw coordinateError(bands[index]!, index)
    }
    if (!(isBound(lo) && isBound(hi))) throw boundError(bands[index]!, index)
    out[at] = q0
    out[at + 1] = q1
    out[at + 2] = k0
    out[at + 3] = k1
    out[at + 4] = Math.min(Math.max(lo, -UNBOUNDED), UNBOUNDED)
    out[at + 5] = Math.min(Math.max(hi, -UNBOUNDED), UNBOUNDED)
    at += BAND_FIELDS
  }
}

/**
 * Cuts packed bands to [0, numRows) x [0, numCols), drops those that hold no cell, shrinks the others to the
 * rows and columns that see something, and widens bounds that exclude nothing to ±2^30.
 */
export function clipBands(packed: Int32Array, numRows: number, numCols: number): Int32Array {
  const clipped = new Int32Array(packed.length)
  let length = 0
  for (let at = 0; at < packed.length; at += BAND_FIELDS) {
    const lo = packed[at + 4]!
    const hi = packed[at + 5]!
    const col0 = Math.max(packed[at + 2]!, 0)
    const col1 = Math.min(packed[at + 3]!, numCols)
    if (col0 >= col1 || lo > hi) continue
    // Row r sees [max(col0, r + lo), min(col1, r + hi + 1)): not empty for col0 - hi <= r < col1 - lo.
    const row0 = Math.max(packed[at]!, 0, col0 - hi)
    const row1 = Math.min(packed[at + 1]!, numRows, col1 - lo)
    if (row0 >= row1) continue
    const firstCol = Math.max(col0, row0 + lo)
    const lastCol = Math.min(col1, row1 + hi) - 1
    clipped[length] = row0
    clipped[length + 1] = row1
    clipped[length + 2] = firstCol
    clipped[length + 3] = lastCol + 1
    clipped[length + 4] = lo <= firstCol - (row1 - 1) ? -UNBOUNDED : lo
    clipped[length + 5] = hi >= lastCol - row0 ? UNBOUNDED : hi
    length += BAND_FIELDS
  }
  return clipped.slice(0, length)
}

/** The same cells with rows and columns exchanged: lo <= k - q <= hi becomes -hi <= q - k <= -lo. */
export function transposeBands(bands: readonly Band[]): Band[] {
  // 0 - x and not -x: a bound of 0 stays +0.
  return bands.map(({ q0, q1, k0, k1, lo, hi }) => ({
    q0: k0,
    q1: k1,
    k0: q0,
    k1: q1,
    lo: 0 - hi,
    hi: 0 - lo,
  }))
}

function isCoordinate(value: number): boolean {
  return (value | 0) === value && value <= UNBOUNDED && value >= -UNBOUNDED
}

function isBound(value: number): boolean {
  return Number.isInteger(value) || value === Number.NEGATIVE_INFINITY || value === Number.POSITIVE_INFINITY
}

function coordinateError(band: Band, index: number): ArgumentError {
  const field = (['q0', 'q1', 'k0', 'k1'] as const).find(name => !isCoordinate(band[name]))!
  return new ArgumentError({
    argument: `bands[${index}].${field}`,
    expected: 'an integer between -2^30 and 2^30',
    actual: band[field],
  })
}

function boundError(band: Band, index: number): ArgumentError {
  const field = (['lo', 'hi'] as const).find(name => !isBound(band[name]))!
  return new ArgumentError({
    argument: `bands[${index}].${field}`,
    expected: 'an integer, -Infinity or Infinity',
    actual: band[field],
  })
}
