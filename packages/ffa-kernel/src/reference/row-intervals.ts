import type { Band } from '@magi-attention/common'
import type { AttentionProblem } from './attention-problem.js'

/**
 * The keys that each query row attends, as ascending, disjoint, non-empty intervals `[begin0, end0, begin1, end1, …)`.
 * Bands may overlap: a key that two of them give to a row is there once.
 */
export function rowIntervals(bands: readonly Band[], totalQ: number, totalK: number): readonly number[][] {
  const rows: number[][] = Array.from({ length: totalQ }, () => [])
  for (const { q0, q1, k0, k1, lo, hi } of bands) {
    for (let row = Math.max(q0, 0); row < Math.min(q1, totalQ); row++) {
      const begin = Math.max(k0, row + lo, 0)
      const end = Math.min(k1, row + hi + 1, totalK)
      if (begin < end) rows[row]!.push(begin, end)
    }
  }
  return rows.map(intervals => (intervals.length > 2 ? mergeIntervals(intervals) : intervals))
}

/** The intervals of every row, for each kv head. Heads that share a mask share the intervals. */
export function rowIntervalsByKvHead(problem: AttentionProblem): readonly (readonly number[][])[] {
  const { bands, kvHeadBands, totalQ, totalK, numHeadsKv } = problem
  if (kvHeadBands) return kvHeadBands.map(own => rowIntervals(own, totalQ, totalK))
  return new Array<readonly number[][]>(numHeadsKv).fill(rowIntervals(bands, totalQ, totalK))
}

/** How many cells of the `[totalQ, totalK]` matrix the union of the bands covers. */
export function countAttendedCells(bands: readonly Band[], totalQ: number, totalK: number): number {
  let cells = 0
  for (const intervals of rowIntervals(bands, totalQ, totalK)) {
    for (let i = 0; i < intervals.length; i += 2) cells += intervals[i + 1]! - intervals[i]!
  }
  return cells
}

function mergeIntervals(intervals: readonly number[]): number[] {
  const starts = Array.from({ length: intervals.length / 2 }, (_, i) => 2 * i)
  starts.sort((a, b) => intervals[a]! - intervals[b]!)
  const merged: number[] = []
  for (const i of starts) {
    const begin = intervals[i]!
    const end = intervals[i + 1]!
    if (merged.length > 0 && begin <= merged.at(-1)!) {
      merged[merged.length - 1] = Math.max(merged.at(-1)!, end)
    } else {
      merged.push(begin, end)
    }
  }
  return merged
}
