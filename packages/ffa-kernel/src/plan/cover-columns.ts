import type { RowTileBands } from './row-tile-bands.js'

/**
 * Receives the runs of a row tile, ascending by column; `positions` are those of the bands in the row tile,
 * none if full.
 */
export type EmitRun = (colBegin: number, numColTiles: number, positions: readonly number[]) => void

export interface ColumnGrid {
  readonly tileCols: number
  readonly numCols: number
  readonly alignCols: boolean
}

/**
 * Covers the columns that a row tile sees with the fewest column tiles: each begins at the first column not
 * covered yet (`alignCols`: at the grid line before it). Works run by run, never tile by tile: the number of
 * tiles until the next band begins, a band ends, or a full tile comes, has a closed form.
 *
 * @param full the columns that all rows see, from `fullColumns`
 */
export function coverColumns(
  tile: RowTileBands,
  full: readonly number[],
  grid: ColumnGrid,
  emit: EmitRun,
): void {
  const { colBegin, colEnd, count } = tile
  const { tileCols, alignCols } = grid
  let live: number[] = [] // bands that reach beyond the covered columns
  let next = 0
  let nextFull = 0
  let covered = 0
  while (true) {
    live = live.filter(i => colEnd[i]! > covered)
    if (live.length === 0) {
      if (next === count) return
      covered = colBegin[next]!
    }
    const begin = alignCols ? covered - (covered % tileCols) : covered
    for (; next < count && colBegin[next]! < begin + tileCols; next++) live.push(next)

    // All tiles of a masked run begin before one of its bands ends, and end before another band begins.
    let limit = next < count ? Math.floor((colBegin[next]! - begin) / tileCols) : Number.POSITIVE_INFINITY
    for (const i of live) limit = Math.min(limit, Math.ceil((colEnd[i]! - begin) / tileCols))

    while (nextFull < full.length && full[nextFull + 1]! <= begin) nextFull += 2
    const numMasked = tilesBeforeFull(full, nextFull, begin, limit, grid)
    if (numMasked > 0) {
      emit(begin, numMasked, live)
      covered = begin + numMasked * tileCols
    } else {
      const numFull = fullTilesFrom(begin, full[nextFull + 1]!, grid)
      emit(begin, numFull, [])
      covered = begin + numFull * tileCols
      for (; next < count && colBegin[next]! < covered; next++) live.push(next)
    }
  }
}

/** How many tiles from `begin` on come before the first full one, at most `limit`. */
function tilesBeforeFull(
  full: readonly number[],
  nextFull: number,
  begin: number,
  limit: number,
  grid: ColumnGrid,
): number {
  for (let i = nextFull; i < full.length; i += 2) {
    const tiles = Math.max(0, Math.ceil((full[i]! - begin) / grid.tileCols))
    if (tiles >= limit) return limit
    if (fullTilesFrom(begin + tiles * grid.tileCols, full[i + 1]!, grid) > 0) return tiles
  }
  return limit
}

/** How many tiles from `begin` on end before `fullEnd`. At the end of the axis the last one may be short. */
function fullTilesFrom(begin: number, fullEnd: number, { tileCols, numCols }: ColumnGrid): number {
  const tiles = (fullEnd - begin) / tileCols
  return fullEnd === numCols ? Math.ceil(tiles) : Math.floor(tiles)
}
