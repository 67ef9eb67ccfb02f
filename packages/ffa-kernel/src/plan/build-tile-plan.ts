import { checkPlanOptions } from './check-options.js'
import { coverColumns } from './cover-columns.js'
import { fullColumns } from './full-columns.js'
import { Int32Buffer } from './int32-buffer.js'
import { clipBands, packBands } from './pack-bands.js'
import { RowTileBands } from './row-tile-bands.js'
import { BAND_FIELDS, type TilePlan, type TilePlanOptions } from './tile-plan.js'

// A tile's cost in tenths of a full one: the mask of a masked tile takes about a third of the time of its
// products.
const FULL_COST = 10
const MASKED_COST = 13

/**
 * Plans which tiles of a mask to visit: for each row tile the fewest column tiles that cover what its rows
 * see, each marked full (exactly when all of its existing cells are seen) or masked with the bands that meet
 * it. Forward: `q` of the bands is the row axis. Backward: pass `transposeBands(bands)` and the lengths
 * exchanged.
 *
 * Takes time and memory by the row tiles and the bands that meet each of them, not by the tiles visited.
 *
 * @throws ArgumentError for a size, coordinate or bound that is not an integer, or beyond 2^30 (bounds may be
 * infinite).
 */
export function buildTilePlan(options: TilePlanOptions): TilePlan {
  return buildPlan(options, false)
}

/** For tests: the plan with its arrays even where the mask is dense. */
export function buildSparseTilePlan(options: TilePlanOptions): TilePlan {
  return buildPlan(options, true)
}

function buildPlan(options: TilePlanOptions, forceSparse: boolean): TilePlan {
  checkPlanOptions(options)
  const { numRows, numCols, tileRows, tileCols, alignCols = false } = options
  const packed = new Int32Array(options.bands.length * BAND_FIELDS)
  packBands(options.bands, packed, 0)
  const bands = clipBands(packed, numRows, numCols)
  const numTiles = Math.ceil(numRows / tileRows)
  const base = { numRows, numCols, tileRows, tileCols, numTiles, alignedCols: alignCols, bands }
  if (bands.length <= BAND_FIELDS && !forceSparse) {
    const dense = { tileOrder: null, tileRuns: null, runs: null, runBands: null }
    return { ...base, ...dense, byteLength: bands.byteLength }
  }

  const grid = { tileCols, numCols, alignCols }
  const sweep = new RowTileBands(bands)
  const writer = new RunWriter(sweep, numTiles, alignCols)
  for (let tile = 0; tile < numTiles; tile++) {
    sweep.moveTo(tile * tileRows, Math.min((tile + 1) * tileRows, numRows))
    writer.beginTile(tile)
    coverColumns(sweep, fullColumns(sweep, grid), grid, writer.emit)
    writer.endTile(tile)
  }
  const arrays = writer.finish()
  const byteLength = Object.values(arrays).reduce((sum, array) => sum + array.byteLength, bands.byteLength)
  return { ...base, ...arrays, byteLength }
}

/** Collects the runs of one row tile after the other. */
class RunWriter {
  readonly #bands: RowTileBands
  readonly #alignCols: boolean
  readonly #tileRuns: Int32Array
  readonly #costs: Float64Array
  readonly #runs: Int32Buffer
  readonly #runBands: Int32Buffer
  #numRuns = 0
  #cost = 0
  // Full runs of the current row tile that wait for its masked ones: colBegin, numColTiles of each.
  #waiting: number[] = []

  constructor(bands: RowTileBands, numTiles: number, alignCols: boolean) {
    this.#bands = bands
    this.#alignCols = alignCols
    this.#tileRuns = new Int32Array(numTiles + 1)
    this.#costs = new Float64Array(numTiles)
    this.#runs = new Int32Buffer(8 * numTiles)
    this.#runBands = new Int32Buffer(2 * numTiles)
  }

  beginTile(tile: number): void {
    this.#tileRuns[tile] = this.#numRuns
    this.#cost = 0
    this.#waiting = []
  }

  readonly emit = (colBegin: number, numColTiles: number, positions: readonly number[]): void => {
    if (positions.length > 0) {
      this.#cost += numColTiles * MASKED_COST
      this.#push(colBegin, numColTiles, positions)
      return
    }
    this.#cost += numColTiles * FULL_COST
    if (this.#alignCols) this.#push(colBegin, numColTiles, positions)
    else this.#waiting.push(colBegin, numColTiles)
  }

  endTile(tile: number): void {
    const waiting = this.#waiting
    for (let i = 0; i < waiting.length; i += 2) this.#push(waiting[i]!, waiting[i + 1]!, [])
    this.#costs[tile] = this.#cost
  }

  finish() {
    this.#tileRuns[this.#costs.length] = this.#numRuns
    return {
      tileOrder: orderByCost(this.#costs),
      tileRuns: this.#tileRuns,
      runs: this.#runs.toInt32Array(),
      runBands: this.#runBands.toInt32Array(),
    }
  }

  #push(colBegin: number, numColTiles: number, positions: readonly number[]): void {
    const bandBegin = positions.length > 0 ? this.#runBands.length : 0
    for (const position of positions) this.#runBands.push(this.#bands.index[position]!)
    this.#runs.push(colBegin)
    this.#runs.push(numColTiles)
    this.#runs.push(bandBegin)
    this.#runs.push(positions.length)
    this.#numRuns += 1
  }
}

/** Most work first: what starts last is then short, so that all workers end at nearly the same time. */
function orderByCost(costs: Float64Array): Int32Array {
  const order = Int32Array.from(costs, (_, tile) => tile)
  return order.sort((a, b) => costs[b]! - costs[a]! || a - b)
}
