import type { Band } from '@magi-attention/common'

/**
 * Number of cells in the rows `[start, end)` of a tight band, in constant time and without allocation.
 *
 * Row `i` holds `min(k1, i + hi + 1) - max(k0, i + lo)` cells: linear between the two rows where an edge
 * bends, so the sum is at most three arithmetic series.
 */
export function cellsInRows(band: Band, start: number, end: number): number {
  const from = Math.max(start, band.q0)
  const to = Math.min(end, band.q1)
  if (from >= to) return 0
  const leftBend = band.k0 - band.lo
  const rightBend = band.k1 - 1 - band.hi
  const first = clamp(Math.min(leftBend, rightBend), from, to)
  const second = clamp(Math.max(leftBend, rightBend), from, to)
  return linearCells(band, from, first) + linearCells(band, first, second) + linearCells(band, second, to)
}

/** First key of a row of a tight band. */
export function firstKey(band: Band, row: number): number {
  return Math.max(band.k0, row + band.lo)
}

/** One past the last key of a row of a tight band. */
export function endKey(band: Band, row: number): number {
  return Math.min(band.k1, row + band.hi + 1)
}

/** Sum of `count` terms of an arithmetic series of integers; no intermediate value exceeds it. */
export function seriesSum(first: number, last: number, count: number): number {
  const ends = first + last
  return count % 2 === 0 ? (count / 2) * ends : count * (ends / 2)
}

function linearCells(band: Band, start: number, end: number): number {
  if (start >= end) return 0
  const first = endKey(band, start) - firstKey(band, start)
  const last = endKey(band, end - 1) - firstKey(band, end - 1)
  return seriesSum(first, last, end - start)
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high)
}
