import { type Band, bandArea, tightenBand } from '@magi-attention/common'
import type { Sharding } from '../dist-attn-solver/sharding.js'
import { Atoms } from './atoms.js'
import { countUnion } from './row-unions.js'

/** Bytes that travel, to and fro, for one row that a rank computes on and does not have. */
export interface RowBytes {
  /** For a query. */
  readonly q: number
  /** For a key. */
  readonly k: number
}

/** The part of the mask in one atom of queries and one atom of keys. */
export interface WorkTile {
  readonly qAtom: number
  readonly kAtom: number
  /** Its cells as tight bands without a common cell, each within one run of queries and one of keys. */
  readonly parts: readonly Band[]
  readonly area: number
  /** Number of queries with cells in it. */
  readonly qRows: number
  /** Number of keys with cells in it. */
  readonly kRows: number
}

/** A mask cut into tiles: the units that are given to ranks. */
export interface WorkGrid {
  readonly cp_size: number
  readonly queries: Atoms
  readonly keys: Atoms
  /** Those with cells, ascending by atom of queries, then of keys. */
  readonly tiles: readonly WorkTile[]
  readonly rowBytes: RowBytes
  /** Work of a rank when all have the same. */
  readonly idealArea: number
  /** What a rank may compute at most. Such an assignment exists. */
  readonly areaLimit: number
}

export interface WorkGridOptions {
  /** Disjoint and tight. */
  readonly bands: readonly Band[]
  readonly queries: Sharding
  readonly keys: Sharding
  readonly rowBytes: RowBytes
  /** Largest work of a rank over the mean. */
  readonly maxImbalance: number
}

/** Least number of atoms on each side, so that few ranks have enough tiles to choose from. */
const MIN_ATOMS = 32

/**
 * Cuts a mask so finely that balance is possible: no tile has more than `(maxImbalance - 1)` times the ideal
 * work. If one rank has more than its limit then another one has less than the ideal, and can take any tile.
 * A tile of one cell cannot be cut, so a mask with few cells for each rank may be off by one cell.
 *
 * Each round is linear in the pairs of a segment of queries and one of keys that a band meets.
 */
export function makeWorkGrid(options: WorkGridOptions): WorkGrid {
  const { bands, rowBytes, maxImbalance } = options
  const { cp_size } = options.queries
  const idealArea = bands.reduce((sum, band) => sum + bandArea(band), 0) / cp_size
  const maxArea = Math.max(1, (maxImbalance - 1) * idealArea)
  const pieces = Math.ceil(MIN_ATOMS / cp_size)
  let queries = Atoms.even(options.queries, pieces)
  let keys = Atoms.even(options.keys, pieces)
  for (;;) {
    const tiles = makeTiles(bands, queries, keys)
    const heavy = tiles.filter(tile => tile.area > maxArea)
    if (heavy.length === 0) {
      const areaLimit = Math.max(maxImbalance * idealArea, idealArea + 1)
      return { cp_size, queries, keys, tiles, rowBytes, idealArea, areaLimit }
    }
    const [qSplits, kSplits] = [new Set<number>(), new Set<number>()]
    for (const { qAtom, kAtom, qRows, kRows } of heavy) {
      const canSplitQ = queries.canSplit(qAtom)
      if (canSplitQ && (qRows >= kRows || !keys.canSplit(kAtom))) qSplits.add(qAtom)
      else kSplits.add(kAtom)
    }
    if (qSplits.size > 0) queries = queries.split(qSplits)
    if (kSplits.size > 0) keys = keys.split(kSplits)
  }
}

function makeTiles(bands: readonly Band[], queries: Atoms, keys: Atoms): WorkTile[] {
  const tiles = new Map<number, { parts: Band[]; area: number }>()
  for (const band of bands) {
    forEachSegment(queries, band.q0, band.q1, (q0, q1, qAtom) => {
      const rows = tightenBand({ ...band, q0, q1 })
      if (rows === null) return
      forEachSegment(keys, rows.k0, rows.k1, (k0, k1, kAtom) => {
        const part = tightenBand({ ...rows, k0, k1 })
        if (part === null) return
        const id = qAtom * keys.numAtoms + kAtom
        let tile = tiles.get(id)
        if (tile === undefined) {
          tile = { parts: [], area: 0 }
          tiles.set(id, tile)
        }
        tile.parts.push(part)
        tile.area += bandArea(part)
      })
    })
  }
  return [...tiles]
    .sort(([a], [b]) => a - b)
    .map(([id, { parts, area }]) => ({
      qAtom: Math.floor(id / keys.numAtoms),
      kAtom: id % keys.numAtoms,
      parts,
      area,
      qRows: countUnion(parts.map(part => [part.q0, part.q1])),
      kRows: countUnion(parts.map(part => [part.k0, part.k1])),
    }))
}

/** Calls `visit` with what each segment has of the rows `[start, end)`. */
function forEachSegment(
  { segmentStarts, segmentEnds, segmentAtoms }: Atoms,
  start: number,
  end: number,
  visit: (start: number, end: number, atom: number) => void,
): void {
  let low = 0
  let high = segmentEnds.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (segmentEnds[middle]! > start) high = middle
    else low = middle + 1
  }
  for (let i = low; i < segmentStarts.length && segmentStarts[i]! < end; i++) {
    visit(Math.max(start, segmentStarts[i]!), Math.min(end, segmentEnds[i]!), segmentAtoms[i]!)
  }
}
