import { IndexError } from '@magi-attention/common'
import { denseTileRuns } from './dense-runs.js'
import { RUN_FIELDS, type TilePlan } from './tile-plan.js'

/** Consecutive column tiles that are treated alike. */
export interface TileRun {
  readonly colBegin: number
  readonly numColTiles: number
  /** Indices of the bands that meet the tiles; empty for a full run. */
  readonly bands: readonly number[]
}

/**
 * One visit of a kernel: the existing rows [rowBegin, rowEnd) of a row tile by the existing columns
 * [colBegin, colEnd).
 */
export interface TileVisit {
  /** Index of the row tile. */
  readonly tile: number
  readonly rowBegin: number
  readonly rowEnd: number
  readonly colBegin: number
  readonly colEnd: number
  /** Whether some of the cells are hidden: then the union of `bands` decides. */
  readonly masked: boolean
  readonly bands: readonly number[]
}

/**
 * The runs of a row tile in the order in which a kernel takes them, for dense plans too.
 *
 * @throws IndexError for a tile that the plan does not have.
 */
export function tileRunsOf(plan: TilePlan, tile: number): TileRun[] {
  if (!Number.isInteger(tile) || tile < 0 || tile >= plan.numTiles) {
    throw new IndexError({ argument: 'tile', expected: `a row tile below ${plan.numTiles}`, actual: tile })
  }
  const { tileRuns, runs, runBands } = plan
  if (tileRuns === null || runs === null || runBands === null) return denseTileRuns(plan, tile)

  const found: TileRun[] = []
  for (let run = tileRuns[tile]!; run < tileRuns[tile + 1]!; run++) {
    const at = run * RUN_FIELDS
    const bandBegin = runs[at + 2]!
    const bands = Array.from(runBands.subarray(bandBegin, bandBegin + runs[at + 3]!))
    found.push({ colBegin: runs[at]!, numColTiles: runs[at + 1]!, bands })
  }
  return found
}

/**
 * All visits of a plan, row tiles ascending. For tests, simulation and drawing: their number is not bounded
 * by the plan's size.
 */
export function* visitTiles(plan: TilePlan): Generator<TileVisit, void, void> {
  for (let tile = 0; tile < plan.numTiles; tile++) {
    const rowBegin = tile * plan.tileRows
    const rowEnd = Math.min(rowBegin + plan.tileRows, plan.numRows)
    for (const { colBegin: runBegin, numColTiles, bands } of tileRunsOf(plan, tile)) {
      for (let step = 0; step < numColTiles; step++) {
        const colBegin = runBegin + step * plan.tileCols
        const colEnd = Math.min(colBegin + plan.tileCols, plan.numCols)
        yield { tile, rowBegin, rowEnd, colBegin, colEnd, masked: bands.length > 0, bands }
      }
    }
  }
}
