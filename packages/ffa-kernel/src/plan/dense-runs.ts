import type { TilePlan } from './tile-plan.js'
import type { TileRun } from './visit-tiles.js'

/** The runs of a row tile of a dense plan, as `TilePlan` defines them. */
export function denseTileRuns(plan: TilePlan, tile: number): TileRun[] {
  if (plan.bands.length === 0) return []
  const [row0, row1, col0, col1, lo, hi] = plan.bands as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const tileBegin = tile * plan.tileRows
  const tileEnd = Math.min(tileBegin + plan.tileRows, plan.numRows)
  const rowBegin = Math.max(tileBegin, row0)
  const rowEnd = Math.min(tileEnd, row1)
  if (rowBegin >= rowEnd) return []

  const size = plan.tileCols
  const hullBegin = Math.max(col0, rowBegin + lo)
  const hullEnd = Math.min(col1, rowEnd + hi)
  const begin = plan.alignedCols ? hullBegin - (hullBegin % size) : hullBegin
  const numColTiles = Math.ceil((hullEnd - begin) / size)

  const fullBegin = Math.max(col0, tileEnd - 1 + lo)
  const fullEnd = Math.min(col1, tileBegin + hi + 1)
  const firstFull = Math.ceil((fullBegin - begin) / size)
  const endFull = fullEnd === plan.numCols ? numColTiles : Math.floor((fullEnd - begin) / size)
  const allRows = rowBegin === tileBegin && rowEnd === tileEnd
  if (!allRows || fullBegin >= fullEnd || firstFull >= endFull) {
    return [{ colBegin: begin, numColTiles, bands: [0] }]
  }

  const before = { colBegin: begin, numColTiles: firstFull, bands: [0] }
  const full = { colBegin: begin + firstFull * size, numColTiles: endFull - firstFull, bands: [] }
  const after = { colBegin: begin + endFull * size, numColTiles: numColTiles - endFull, bands: [0] }
  const runs = plan.alignedCols ? [before, full, after] : [before, after, full]
  return runs.filter(run => run.numColTiles > 0)
}
