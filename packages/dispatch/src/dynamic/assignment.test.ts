import { sliceToBand } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Sharding } from '../dist-attn-solver/sharding.js'
import { assignByQuery } from './assign.js'
import { Assignment } from './assignment.js'
import { Atoms } from './atoms.js'
import { balance } from './balance.js'
import { refine } from './refine.js'
import { makeWorkGrid } from './work-grid.js'

const total = 64
const sharding = new Sharding({
  total_seqlen: total,
  chunk_size: 8,
  partitions: [
    [0, 7],
    [1, 2],
    [3, 6],
    [4, 5],
  ],
})
const grid = makeWorkGrid({
  bands: [sliceToBand([0, total], [0, total], 'causal'), sliceToBand([0, 5], [30, total], 'full')],
  queries: sharding,
  keys: sharding,
  rowBytes: { q: 5, k: 3 },
  maxImbalance: 1.1,
})

describe('Atoms', () => {
  it('cuts the buffer of each rank, whatever the runs', () => {
    const atoms = Atoms.even(sharding, 3)
    expect([...atoms.owners]).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    // Rank 0 has the rows [0, 8) and [56, 64); its atoms are its local rows [0, 5), [5, 10) and [10, 16).
    const segments = Array.from(atoms.segmentStarts, (start, i) => [
      start,
      atoms.segmentEnds[i]!,
      atoms.segmentAtoms[i]!,
    ]).filter(([, , atom]) => atom! < 3)
    expect(segments).toEqual([
      [0, 5, 0],
      [5, 8, 1],
      [56, 58, 1],
      [58, 64, 2],
    ])
    const halved = atoms.split(new Set([1]))
    expect([...halved.owners].filter(owner => owner === 0)).toHaveLength(4)
    expect(halved.numAtoms).toBe(13)
  })

  it('never has an atom without rows', () => {
    const short = new Sharding({ total_seqlen: 5, chunk_size: 2, partitions: [[0], [1, 2], []] })
    const atoms = Atoms.even(short, 4)
    expect([...atoms.owners]).toEqual([0, 0, 1, 1, 1])
    expect([0, 1, 2, 3, 4].map(atom => atoms.canSplit(atom))).toEqual([false, false, false, false, false])
  })
})

/** What `Assignment` estimates, from scratch: for each rank and atom the most rows that a tile uses. */
function fetchedBytes(assignment: Assignment): number[] {
  return Array.from({ length: grid.cp_size }, (_, rank) => {
    const q = new Map<number, number>()
    const k = new Map<number, number>()
    grid.tiles.forEach(({ qAtom, kAtom, qRows, kRows }, tile) => {
      if (assignment.ranks[tile] !== rank) return
      if (grid.queries.owners[qAtom] !== rank) q.set(qAtom, Math.max(q.get(qAtom) ?? 0, qRows))
      if (grid.keys.owners[kAtom] !== rank) k.set(kAtom, Math.max(k.get(kAtom) ?? 0, kRows))
    })
    const sum = (rows: Map<number, number>) => [...rows.values()].reduce((all, count) => all + count, 0)
    return 5 * sum(q) + 3 * sum(k)
  })
}

describe('Assignment', () => {
  it('keeps account of bytes and work over any moves', () => {
    const move = fc.record({
      tile: fc.integer({ min: 0, max: grid.tiles.length - 1 }),
      rank: fc.integer({ min: 0, max: grid.cp_size - 1 }),
    })
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), moves => {
        const assignment = assignByQuery(grid)
        for (const { tile, rank } of moves) {
          assignment.remove(tile)
          const before = assignment.bytes[rank]!
          const added = assignment.addedBytes(rank, tile)
          assignment.add(tile, rank)
          expect(assignment.bytes[rank]).toBe(before + added)
        }
        expect([...assignment.bytes]).toEqual(fetchedBytes(assignment))
        const areas = new Array<number>(grid.cp_size).fill(0)
        grid.tiles.forEach(({ area }, tile) => {
          areas[assignment.ranks[tile]!]! += area
        })
        expect([...assignment.areas]).toEqual(areas)
      }),
      { numRuns: 50 },
    )
  })

  it('comes into balance from anywhere, and only gets cheaper by refinement', () => {
    const ranks = fc.array(fc.integer({ min: 0, max: grid.cp_size - 1 }), {
      minLength: grid.tiles.length,
      maxLength: grid.tiles.length,
    })
    fc.assert(
      fc.property(fc.oneof(ranks, fc.constant(grid.tiles.map(() => 0))), start => {
        const assignment = Assignment.by(grid, tile => start[tile]!)
        balance(assignment)
        expect(assignment.isBalanced).toBe(true)
        const before = assignment.totalBytes
        refine(assignment, 8)
        expect(assignment.isBalanced).toBe(true)
        expect(assignment.totalBytes).toBeLessThanOrEqual(before)
        expect([...assignment.bytes]).toEqual(fetchedBytes(assignment))
        expect([...assignment.ranks].every(rank => rank >= 0)).toBe(true)
      }),
      { numRuns: 20 },
    )
  })
})
