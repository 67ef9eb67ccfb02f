import type { Band } from '@magi-attention/common'

/** Stands for an absent bound of a band in a plan: -UNBOUNDED below, UNBOUNDED above. */
export const UNBOUNDED = 2 ** 30

/** The longest row or column axis of a plan: coordinate + bound + 1 has to fit into 32 bits. */
export const MAX_EXTENT = UNBOUNDED - 1

/** Integers per band in `TilePlan.bands`: row0, row1, col0, col1, lo, hi. */
export const BAND_FIELDS = 6

/** Integers per run in `TilePlan.runs`: colBegin, numColTiles, bandBegin, bandCount. */
export const RUN_FIELDS = 4

/** What a plan is built from. */
export interface TilePlanOptions {
  /**
   * The mask as the union of bands, in any order, overlapping or empty; `q` is the row axis and `k` the
   * column axis (see `transposeBands`). Bands are clipped to the plan's extents.
   */
  readonly bands: readonly Band[]
  /** Length of the owner axis: queries in forward, keys in backward. 0 to 2^30 - 1. */
  readonly numRows: number
  /** Length of the other axis, 0 to 2^30 - 1. */
  readonly numCols: number
  readonly tileRows: number
  readonly tileCols: number
  /**
   * Column tiles begin at multiples of `tileCols`, and the runs of a row tile ascend by column. Default
   * false.
   */
  readonly alignCols?: boolean
}

/**
 * Which tiles of a mask a kernel visits. Rows are cut into a grid of `tileRows`; each row tile has one owner
 * and lists the column tiles to visit, as runs of consecutive tiles that are treated alike. The arrays are
 * read by native code as they are, and may be shared by many callers through the cache: never write to them.
 *
 * A mask of at most one band is *dense*: the four arrays are null, and the runs of a row tile follow from the
 * band. With the rows [R0, R1) of the tile, T = `tileCols`, and [a, b) = [R0, R1) ∩ [row0, row1), not empty:
 *
 *     hullBegin = max(col0, a + lo)             columns that some row of the tile sees: [hullBegin, hullEnd)
 *     hullEnd   = min(col1, b + hi)
 *     fullBegin = max(col0, R1 - 1 + lo)        columns that all rows see, if [a, b) = [R0, R1)
 *     fullEnd   = min(col1, R0 + hi + 1)
 *     begin     = alignedCols ? floor(hullBegin / T) * T : hullBegin
 *     n         = ceil((hullEnd - begin) / T)   tile t has the columns begin + t*T to begin + (t + 1)*T
 *     f0        = ceil((fullBegin - begin) / T)
 *     f1        = fullEnd == numCols ? n : floor((fullEnd - begin) / T)
 *
 * If [a, b) = [R0, R1), fullBegin < fullEnd and f0 < f1, the tiles [f0, f1) are full and [0, f0) and [f1, n)
 * are masked; otherwise all n are masked. Each of these three that is not empty is one run: masked, masked,
 * full; with `alignedCols` by column.
 */
export interface TilePlan {
  readonly numRows: number
  readonly numCols: number
  readonly tileRows: number
  readonly tileCols: number
  /** ceil(numRows / tileRows); the last row tile may be short. */
  readonly numTiles: number
  readonly alignedCols: boolean
  /**
   * `[numBands, 6]` row0, row1, col0, col1, lo, hi: row r sees column c if row0 <= r < row1, col0 <= c < col1
   * and lo <= c - r <= hi. Shrunk to the rows and columns that see something; bounds that exclude nothing are
   * ±2^30.
   */
  readonly bands: Int32Array
  /** `[numTiles]` row tiles, most work first (full 1, masked 1.3 a tile), ties by index. Null if dense. */
  readonly tileOrder: Int32Array | null
  /** `[numTiles + 1]` where the runs of each row tile begin in `runs`, counted in runs. Null if dense. */
  readonly tileRuns: Int32Array | null
  /**
   * `[numRuns, 4]` colBegin, numColTiles, bandBegin, bandCount. bandCount 0 is a full run: every existing row
   * sees every existing column of its tiles. Otherwise the bands `runBands[bandBegin .. bandBegin +
   * bandCount)` meet each of the tiles, and their union decides. Tiles of a row tile never overlap; the last
   * may reach beyond numCols. Masked runs stand before full ones, each ascending by column; with
   * `alignedCols` all ascend by column. Null if dense.
   */
  readonly runs: Int32Array | null
  /** Indices into `bands`. Null if dense. */
  readonly runBands: Int32Array | null
  /** Bytes of all arrays together. */
  readonly byteLength: number
}

export function isDense(plan: TilePlan): boolean {
  return plan.runs === null
}
