import type { ColumnGrid } from './cover-columns.js'
import type { RowTileBands } from './row-tile-bands.js'

/**
 * The columns that every row of the current row tile sees through the union of its bands: exactly those, as
 * flat [begin, end) pairs that ascend and do not touch. Stretches too short for a full column tile are left
 * out.
 *
 * The rows are cut where a band begins or ends. Within such a segment of rows [s, e) the columns are cut
 * likewise, which leaves pieces where each band is a pure diagonal stripe lo <= c - r <= hi. The stripes
 * merge into disjoint ones [L, H], and a column c of the piece is seen by all rows of the segment if [c - (e
 * - 1), c - s] lies in one of them.
 */
export function fullColumns(tile: RowTileBands, { tileCols, numCols }: ColumnGrid): number[] {
  const { rowBegin, rowEnd } = tile
  const within = (wanted: readonly number[], begin: number, end: number) => {
    const found = fullColumnsOfSegment(tile, begin, end, bandsOfSegment(tile, begin, end, wanted))
    return dropShort(intersect(wanted, found), tileCols, numCols)
  }

  let end = endOfSegment(tile, rowBegin)
  let full = within([0, numCols], rowBegin, end)
  if (full.length === 0 || end === rowEnd) return full

  // No segment takes away what the bands that hold all rows show. Once just that is left, which is mostly so
  // after the first and the last segment, the others need no look.
  const certain = width(within(full, rowBegin, rowEnd))
  full = within(full, beginOfLastSegment(tile), rowEnd)
  while (end < rowEnd && width(full) > certain) {
    const begin = end
    end = endOfSegment(tile, begin)
    full = within(full, begin, end)
  }
  return full
}

function beginOfLastSegment(tile: RowTileBands): number {
  let begin = tile.rowBegin
  for (let i = 0; i < tile.count; i++) {
    begin = Math.max(begin, tile.firstRow(i))
    if (tile.endRow(i) < tile.rowEnd) begin = Math.max(begin, tile.endRow(i))
  }
  return begin
}

/** The next row at which a band begins or ends. */
function endOfSegment(tile: RowTileBands, segmentBegin: number): number {
  let end = tile.rowEnd
  for (let i = 0; i < tile.count; i++) {
    const firstRow = tile.firstRow(i)
    if (firstRow > segmentBegin) end = Math.min(end, firstRow)
    else if (tile.endRow(i) > segmentBegin) end = Math.min(end, tile.endRow(i))
  }
  return end
}

/** The bands that hold all rows of [segmentBegin, segmentEnd) and reach one of the `wanted` columns. */
function bandsOfSegment(
  tile: RowTileBands,
  segmentBegin: number,
  segmentEnd: number,
  wanted: readonly number[],
): number[] {
  const found: number[] = []
  let next = 0
  for (let i = 0; i < tile.count; i++) {
    while (next < wanted.length && wanted[next + 1]! <= tile.colBegin[i]!) next += 2
    if (next === wanted.length) break
    if (wanted[next]! >= tile.colEnd[i]!) continue
    if (tile.firstRow(i) <= segmentBegin && tile.endRow(i) >= segmentEnd) found.push(i)
  }
  return found
}

/**
 * The columns that all rows of [segmentBegin, segmentEnd) see through the bands `positions`, which hold those
 * rows.
 */
function fullColumnsOfSegment(
  tile: RowTileBands,
  segmentBegin: number,
  segmentEnd: number,
  positions: readonly number[],
): number[] {
  const { colBegin, colEnd } = tile
  const full: number[] = []
  let live: number[] = [] // bands that reach the piece, by ascending lower bound
  let next = 0
  let col = 0
  while (true) {
    live = live.filter(i => colEnd[i]! > col)
    if (live.length === 0) {
      if (next === positions.length) return full
      col = Math.max(col, colBegin[positions[next]!]!)
    }
    for (; next < positions.length && colBegin[positions[next]!]! <= col; next++) {
      insertByLowerBound(tile, live, positions[next]!)
    }

    let pieceEnd = next < positions.length ? colBegin[positions[next]!]! : Number.POSITIVE_INFINITY
    for (const i of live) pieceEnd = Math.min(pieceEnd, colEnd[i]!)
    for (let i = 0; i < live.length; ) {
      const lowest = tile.lowerBound(live[i]!)
      let highest = tile.upperBound(live[i]!)
      for (i += 1; i < live.length && tile.lowerBound(live[i]!) <= highest + 1; i++) {
        highest = Math.max(highest, tile.upperBound(live[i]!))
      }
      const begin = Math.max(col, lowest + segmentEnd - 1)
      const end = Math.min(pieceEnd, highest + segmentBegin + 1)
      if (begin < end) appendInterval(full, begin, end)
    }
    col = pieceEnd
  }
}

function insertByLowerBound(tile: RowTileBands, live: number[], position: number): void {
  const bound = tile.lowerBound(position)
  let slot = live.length
  while (slot > 0 && tile.lowerBound(live[slot - 1]!) > bound) {
    live[slot] = live[slot - 1]!
    slot -= 1
  }
  live[slot] = position
}

function appendInterval(intervals: number[], begin: number, end: number): void {
  if (intervals.length > 0 && intervals[intervals.length - 1] === begin) intervals[intervals.length - 1] = end
  else intervals.push(begin, end)
}

function width(intervals: readonly number[]): number {
  let sum = 0
  for (let i = 0; i < intervals.length; i += 2) sum += intervals[i + 1]! - intervals[i]!
  return sum
}

function dropShort(intervals: readonly number[], tileCols: number, numCols: number): number[] {
  const long: number[] = []
  for (let i = 0; i < intervals.length; i += 2) {
    const begin = intervals[i]!
    const end = intervals[i + 1]!
    // Only the last column tile may be shorter than the others.
    if (end - begin >= tileCols || end === numCols) long.push(begin, end)
  }
  return long
}

function intersect(a: readonly number[], b: readonly number[]): number[] {
  const common: number[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const begin = Math.max(a[i]!, b[j]!)
    const end = Math.min(a[i + 1]!, b[j + 1]!)
    if (begin < end) common.push(begin, end)
    if (a[i + 1]! < b[j + 1]!) i += 2
    else j += 2
  }
  return common
}
