import type { Assignment } from './assignment.js'

/**
 * Takes tiles from ranks beyond their limit, those first that cost the fewest bytes for their work. While a
 * rank is beyond it, another one has room for any tile: see `makeWorkGrid`.
 */
export function balance(assignment: Assignment): void {
  const { cp_size, areaLimit } = assignment.grid
  for (let rank = 0; rank < cp_size; rank++) {
    if (assignment.areas[rank]! > areaLimit) relieve(assignment, rank)
  }
}

function relieve(assignment: Assignment, rank: number): void {
  const { tiles, areaLimit } = assignment.grid
  const moves: { tile: number; cost: number }[] = []
  assignment.ranks.forEach((owner, tile) => {
    if (owner !== rank) return
    const before = assignment.bytes[rank]!
    assignment.remove(tile)
    const saved = before - assignment.bytes[rank]!
    const added = assignment.addedBytes(assignment.cheapestRank(tile), tile)
    assignment.add(tile, rank)
    moves.push({ tile, cost: (added - saved) / tiles[tile]!.area })
  })
  moves.sort((a, b) => a.cost - b.cost || a.tile - b.tile)
  for (const { tile } of moves) {
    if (assignment.areas[rank]! <= areaLimit) return
    assignment.remove(tile)
    assignment.add(tile, assignment.cheapestRank(tile))
  }
}
