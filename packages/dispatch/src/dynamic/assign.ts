import { shuffle } from '../overlap/shuffle.js'
import { Assignment } from './assignment.js'
import { balance } from './balance.js'
import { DynamicAttnAlgType } from './dynamic-attn-alg-type.js'
import { refine } from './refine.js'
import type { WorkGrid } from './work-grid.js'

const GRID_SEED = 42
const SEARCH_STEPS = 20
/** Pairs of a tile and a rank that a search may look at; larger problems are left to grids of ranks. */
const SEARCH_WORK = 2 ** 28
const MAX_PASSES = 8

/** Gives the tiles of a grid to ranks. A pure function. */
export function assignTiles(grid: WorkGrid, type: DynamicAttnAlgType): Assignment {
  if (type === DynamicAttnAlgType.NON_COMMUNICATION_QO) return assignByQuery(grid)
  return type === DynamicAttnAlgType.GREEDY_RANDOM_GRID ? assignRandomly(grid) : assignBySearch(grid)
}

/** Each tile to the rank of its queries, however uneven the work. */
export function assignByQuery(grid: WorkGrid): Assignment {
  return Assignment.by(grid, tile => grid.queries.owners[grid.tiles[tile]!.qAtom]!)
}

function assignRandomly(grid: WorkGrid): Assignment {
  const order = shuffle(Array.from(grid.tiles.keys()), GRID_SEED)
  const assignment = assignGreedily(grid, order, Number.POSITIVE_INFINITY)!
  refine(assignment, numPasses(grid))
  return assignment
}

/**
 * Two starting points, each refined: greedy under the least bound on the bytes of a rank that still works,
 * and the best grid of ranks. Where the search would take too long, the second one alone.
 */
function assignBySearch(grid: WorkGrid): Assignment {
  const starts = [searchBound(grid), bestRankGrid(grid)].filter(start => start !== null)
  for (const start of starts) refine(start, numPasses(grid))
  return starts.reduce((best, other) => (other.totalBytes < best.totalBytes ? other : best))
}

function numPasses({ tiles, cp_size }: WorkGrid): number {
  return Math.min(MAX_PASSES, Math.floor(SEARCH_WORK / (tiles.length * cp_size + 1)))
}

/** Binary search of the bound on what a rank fetches. */
function searchBound(grid: WorkGrid): Assignment | null {
  if (grid.tiles.length * grid.cp_size * SEARCH_STEPS > SEARCH_WORK) return null
  const area = (tile: number) => grid.tiles[tile]!.area
  const order = Array.from(grid.tiles.keys()).sort((a, b) => area(b) - area(a) || a - b)
  let best = assignGreedily(grid, order, Number.POSITIVE_INFINITY)!
  let high = best.bytes.reduce((most, bytes) => Math.max(most, bytes), 0)
  let low = 0
  for (let step = 0; step < SEARCH_STEPS && high > low; step++) {
    const middle = Math.floor((low + high) / 2)
    const found = assignGreedily(grid, order, middle)
    if (found === null) low = middle + 1
    else {
      high = middle
      if (found.totalBytes < best.totalBytes) best = found
    }
  }
  return best
}

/**
 * Tiles whose queries and keys are on one rank go there first, as far as the rank has room; then each tile in
 * order goes to the rank with room that fetches least for it.
 * @param maxBytes - what a rank may fetch; `null` comes back when a tile then finds no rank
 */
function assignGreedily(grid: WorkGrid, order: readonly number[], maxBytes: number): Assignment | null {
  const assignment = new Assignment(grid)
  for (const tile of order) {
    const owner = assignment.queryOwner(tile)
    if (owner !== assignment.keyOwner(tile)) continue
    if (assignment.hasRoom(owner, grid.tiles[tile]!.area)) assignment.add(tile, owner)
  }
  for (const tile of order) {
    if (assignment.ranks[tile] !== -1) continue
    const rank = assignment.cheapestRank(tile, maxBytes)
    if (rank < 0) return null
    assignment.add(tile, rank)
  }
  return assignment
}

/**
 * Ranks as a grid: each computes the queries of its row's ranks on every `s`-th rank's keys, its own among
 * them, where `s` is the length of its row. So it fetches queries along the row and keys along the column. On
 * a dense mask that takes about `2 sqrt(P) - 2` shards in place of `P - 1`. Rows of one rank are the static
 * solver's way. Of all shapes, the one with the least traffic once the work is balanced.
 */
function bestRankGrid(grid: WorkGrid): Assignment {
  const { cp_size, queries, keys, tiles } = grid
  let best: Assignment | null = null
  for (const numRows of rowCounts(grid)) {
    const starts = Array.from({ length: numRows + 1 }, (_, row) => Math.ceil((row * cp_size) / numRows))
    const rowOf = Array.from({ length: cp_size }, (_, rank) => Math.floor((rank * numRows) / cp_size))
    const candidate = Assignment.by(grid, tile => {
      const { qAtom, kAtom } = tiles[tile]!
      const row = rowOf[queries.owners[qAtom]!]!
      const start = starts[row]!
      const length = starts[row + 1]! - start
      return start + ((keys.owners[kAtom]! - start + cp_size * length) % length)
    })
    balance(candidate)
    if (best === null || candidate.totalBytes < best.totalBytes) best = candidate
  }
  return best!
}

/** Shapes to try: rows of any length, or of equal length alone where there is much to look at. */
function rowCounts({ cp_size, tiles }: WorkGrid): Set<number> {
  const counts = new Set<number>()
  const isLarge = tiles.length * cp_size * SEARCH_STEPS > SEARCH_WORK
  for (let length = 1; length <= cp_size; length++) {
    if (!isLarge || cp_size % length === 0) counts.add(Math.floor(cp_size / length))
  }
  return counts
}
