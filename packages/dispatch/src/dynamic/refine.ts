import type { Assignment } from './assignment.js'

/**
 * Local search: moves one tile, or all tiles of a rank in one atom of queries or of keys, to another rank when
 * that saves bytes and the work stays within its limit. A pass tries each group with each rank; the
 * search ends after a pass that saves nothing.
 */
export function refine(assignment: Assignment, maxPasses: number): void {
  for (let pass = 0; pass < maxPasses; pass++) {
    const before = assignment.totalBytes
    for (let tile = 0; tile < assignment.ranks.length; tile++) {
      for (const shared of ['queries', 'keys'] as const) {
        const side = assignment[shared]
        moveGroup(assignment, shared, side.tilesOf(assignment.ranks[tile]!, side.atomOf[tile]!), tile)
      }
      moveGroup(assignment, 'queries', [tile], tile)
    }
    if (assignment.totalBytes === before) return
  }
}

/**
 * Moves tiles of one rank that share an atom to where they cost least.
 * @param first - one of them; only the least by number starts, so that each group is tried once a pass
 */
function moveGroup(
  assignment: Assignment,
  shared: 'queries' | 'keys',
  group: readonly number[],
  first: number,
): void {
  if (group.some(tile => tile < first)) return
  const tiles = [...group]
  const from = assignment.ranks[first]!
  const before = assignment.bytes[from]!
  for (const tile of tiles) assignment.remove(tile)
  const saved = before - assignment.bytes[from]!

  const [along, across] =
    shared === 'queries' ? (['queries', 'keys'] as const) : (['keys', 'queries'] as const)
  let area = 0
  let rows = 0
  for (const tile of tiles) {
    area += assignment.grid.tiles[tile]!.area
    rows = Math.max(rows, assignment[along].rowsOf(tile))
  }
  let [best, least] = [from, saved]
  for (let rank = 0; rank < assignment.grid.cp_size && least > 0; rank++) {
    if (rank === from || !assignment.hasRoom(rank, area)) continue
    let added = assignment[along].added(rank, first, rows)
    for (let i = 0; i < tiles.length && added < least; i++) added += assignment[across].added(rank, tiles[i]!)
    if (added < least) [best, least] = [rank, added]
  }
  for (const tile of tiles) assignment.add(tile, best)
}
