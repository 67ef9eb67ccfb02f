import type { Band } from '@magi-attention/common'
import { endKey, firstKey, seriesSum } from './band-rows.js'

/** An end of the keys of one band in some row. */
interface Edge {
  key: number
  /** Where it is in the next row, relative to this one: an edge is a column (0) or a diagonal (1). */
  slope: number
  /** +1 where a band begins, -1 where one ends. */
  step: number
}

/**
 * Number of cells in the rows `[start, end)` that at least one of the tight bands covers. All bands must hold
 * all of the rows.
 *
 * Edges are columns or diagonals. While no edge bends and no two cross, the number of covered keys is linear
 * in the row; so whole blocks of rows are summed up at once, as in a kinetic data structure.
 */
export function cellsInUnionRows(bands: readonly Band[], start: number, end: number): number {
  let cells = 0
  for (let row = start; row < end; ) {
    const edges: Edge[] = []
    let steady = end - row
    for (const band of bands) {
      const leftBend = band.k0 - band.lo
      const rightBend = band.k1 - 1 - band.hi
      if (row < leftBend) steady = Math.min(steady, leftBend - row)
      if (row < rightBend) steady = Math.min(steady, rightBend - row)
      edges.push({ key: firstKey(band, row), slope: row < leftBend ? 0 : 1, step: 1 })
      edges.push({ key: endKey(band, row), slope: row < rightBend ? 1 : 0, step: -1 })
    }
    // Edges at the same key are put in the order that they have in the next row.
    edges.sort((a, b) => a.key - b.key || a.slope - b.slope || b.step - a.step)
    for (let i = 1; i < edges.length; i++) {
      const [left, right] = [edges[i - 1]!, edges[i]!]
      if (left.slope > right.slope) steady = Math.min(steady, right.key - left.key)
    }
    const { width, growth } = coveredWidth(edges)
    cells += seriesSum(width, width + growth * (steady - 1), steady)
    row += steady
  }
  return cells
}

/** Number of covered keys in this row, and by how much it grows from row to row. */
function coveredWidth(edges: readonly Edge[]): { width: number; growth: number } {
  let width = 0
  let growth = 0
  let depth = 0
  for (const { key, slope, step } of edges) {
    // The first edge of a covered run counts negative, the last one positive.
    const opens = depth === 0 && step === 1
    depth += step
    if (opens) {
      width -= key
      growth -= slope
    } else if (depth === 0) {
      width += key
      growth += slope
    }
  }
  return { width, growth }
}
