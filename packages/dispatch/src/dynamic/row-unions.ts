import { type RangeTable, RangeTableBuilder } from '../dist-attn-solver/range-table.js'

/** Rows `[start, end)`. */
export type Rows = readonly [start: number, end: number]

/** Calls `visit` with the merged ranges, ascending. Sorts `ranges` in place. */
function forEachMerged(ranges: Rows[], visit: (start: number, end: number) => void): void {
  ranges.sort((a, b) => a[0] - b[0])
  let [from, to] = [0, 0]
  for (const [start, end] of ranges) {
    if (start > to) {
      if (from < to) visit(from, to)
      from = start
      to = end
    } else if (end > to) to = end
  }
  if (from < to) visit(from, to)
}

/** Number of rows in the union. Sorts `ranges` in place. */
export function countUnion(ranges: Rows[]): number {
  if (ranges.length === 1) return ranges[0]![1] - ranges[0]![0]
  let count = 0
  forEachMerged(ranges, (start, end) => {
    count += end - start
  })
  return count
}

/** A table with the union of each list. Sorts the lists in place. */
export function unionTable(lists: readonly Rows[][]): RangeTable {
  const table = new RangeTableBuilder()
  for (const ranges of lists) {
    forEachMerged(ranges, (start, end) => table.push(start, end))
    table.endRow()
  }
  return table.build()
}
