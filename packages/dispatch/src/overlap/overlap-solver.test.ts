import { ArgumentError } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GreedyOverlapAlg } from './greedy-overlap-alg.js'
import { OverlapAlg } from './overlap-alg.js'
import { type OverlapStageCost, overlapCost } from './overlap-cost.js'
import { OverlapSolver } from './overlap-solver.js'
import { shuffle } from './shuffle.js'
import { UniformOverlapAlg } from './uniform-overlap-alg.js'

const costsOf = (...pairs: [comm: number, calc: number][]): OverlapStageCost[] =>
  pairs.map(([comm_cost, calc_cost]) => ({ comm_cost, calc_cost }))
const example = costsOf([0, 10], [4, 6], [4, 6], [4, 6], [4, 6])

const anyCosts = fc
  .tuple(
    fc.integer({ min: 0, max: 40 }),
    fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 20 })), { maxLength: 12 }),
  )
  .map(([host, remote]) => costsOf([0, host], ...remote))

describe('OverlapSolver with uniform stages', () => {
  const solver = new OverlapSolver(new UniformOverlapAlg())
  const solve = (overlap_degree: number | null, dynamic_max_degree?: number) =>
    solver.solve({ stage_costs: example, overlap_degree, dynamic_max_degree })

  it.each([
    [1, [[0, 1, 2, 3, 4]], 40],
    [
      2,
      [
        [0, 1, 2],
        [3, 4],
      ],
      34,
    ],
    [3, [[0, 1], [2, 3], [4]], 36],
    [4, [[0, 1], [2], [3], [4]], 34],
    [6, [[0, 1], [2], [3], [4], [], []], 34],
  ])('cuts into %i stages', (degree, partitions, cost) => {
    expect(solve(degree)).toEqual({ overlap_degree: degree, partitions, overlap_cost: cost })
  })

  it('chooses the least degree of the least cost', () => {
    expect(solve(null)).toMatchObject({ overlap_degree: 2, overlap_cost: 34 })
    expect(solve(null, 8)).toMatchObject({ overlap_degree: 2 })
    expect(solve(null, 1)).toMatchObject({ overlap_degree: 1, overlap_cost: 40 })
  })

  it('has idle stages only, without remote chunks', () => {
    const stage_costs = costsOf([0, 10])
    expect(solver.solve({ stage_costs, overlap_degree: 3 })).toEqual({
      overlap_degree: 3,
      partitions: [[0], [], []],
      overlap_cost: 10,
    })
    expect(solver.solve({ stage_costs, overlap_degree: null }).overlap_degree).toBe(1)
  })

  it('rounds half to even when it compares', () => {
    // 34.5 and 34 both round to 34: the lower degree wins, although it costs more.
    const stage_costs = costsOf([0, 10], [5, 12], [5.5, 12])
    expect(solver.solve({ stage_costs, overlap_degree: 1 }).overlap_cost).toBe(34.5)
    expect(solver.solve({ stage_costs, overlap_degree: 2 }).overlap_cost).toBe(34)
    expect(solver.solve({ stage_costs, overlap_degree: null }).overlap_degree).toBe(1)
    // 35.5 rounds to 36, so 35 is less.
    const dearer = costsOf([0, 11], [5.5, 12], [6, 12])
    expect(solver.solve({ stage_costs: dearer, overlap_degree: null }).overlap_degree).toBe(2)
  })

  it('refuses costs and degrees that cannot be', () => {
    for (const overlap_degree of [0, -1, 1.5, Number.NaN]) {
      expect(() => solve(overlap_degree)).toThrow(/overlap_degree/)
    }
    expect(() => solve(null, 0)).toThrow(/dynamic_max_degree/)
    expect(() => solver.solve({ stage_costs: [], overlap_degree: 1 })).toThrow(/stage_costs/)
    expect(() => solver.solve({ stage_costs: costsOf([0, -1]), overlap_degree: 1 })).toThrow(
      /stage_costs\[0\].calc_cost/,
    )
    expect(() => solver.solve({ stage_costs: costsOf([0, 1], [Number.NaN, 1]), overlap_degree: 1 })).toThrow(
      /stage_costs\[1\].comm_cost/,
    )
    expect(() => new OverlapSolver({} as never)).toThrow(ArgumentError)
  })

  it('refuses an algorithm that loses a chunk', () => {
    class Lossy extends OverlapAlg {
      readonly uses_costs = false
      partition(): number[][] {
        return [[0, 1]]
      }
      toString(): string {
        return 'Lossy()'
      }
    }
    const lossy = new OverlapSolver(new Lossy())
    expect(() => lossy.solve({ stage_costs: example, overlap_degree: 1 })).toThrow(/0 to 4 once/)
  })
})

describe('UniformOverlapAlg', () => {
  it('deals chunks in a random order that the seed decides', () => {
    const alg = (random_seed?: number) => new UniformOverlapAlg({ random_costs: true, random_seed })
    expect(alg(0).partition(new Array(6).fill(example[0]), 2)).toEqual([
      [0, 3, 2],
      [1, 5, 4],
    ])
    expect(alg().partition(example, 2)).toEqual(alg(0).partition(example, 2))
    expect(`${alg(3)}`).toBe('UniformOverlapAlg(random_costs=true, random_seed=3)')
    expect(() => new UniformOverlapAlg({ random_seed: -1 })).toThrow(/random_seed/)
    expect(() => new UniformOverlapAlg({ random_costs: 1 as never })).toThrow(/random_costs/)
  })
})

describe('shuffle', () => {
  it('orders as random.seed and random.shuffle of Python do', () => {
    const items = Array.from({ length: 12 }, (_, i) => i + 1)
    expect(shuffle(items.slice(0, 5), 0)).toEqual([3, 2, 1, 5, 4])
    expect(shuffle(items.slice(0, 10), 42)).toEqual([8, 4, 3, 9, 6, 7, 10, 5, 1, 2])
    expect(shuffle(items, 2 ** 40 + 7)).toEqual([1, 6, 3, 4, 7, 2, 9, 5, 8, 12, 11, 10])
    expect(shuffle([], 1)).toEqual([])
  })
})

describe('GreedyOverlapAlg', () => {
  const greedy = new GreedyOverlapAlg()

  it('holds each chunk once and never costs more than uniform stages', () => {
    const uniform = new UniformOverlapAlg()
    fc.assert(
      fc.property(anyCosts, fc.integer({ min: 1, max: 14 }), (costs, degree) => {
        const partitions = greedy.partition(costs, degree)
        expect(partitions).toHaveLength(degree)
        expect(partitions[0]).toContain(0)
        expect(partitions.flat().sort((a, b) => a - b)).toEqual(costs.map((_, i) => i))
        expect(overlapCost(costs, partitions)).toBeLessThanOrEqual(
          overlapCost(costs, uniform.partition(costs, degree)),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('receives cheap chunks with much work first', () => {
    // In order of position the expensive chunk would arrive first, with too little work to hide it.
    const costs = costsOf([0, 5], [20, 1], [5, 20])
    expect(greedy.partition(costs, 2)).toEqual([[0, 2], [1]])
    expect(overlapCost(costs, [[0, 2], [1]])).toBe(5 + 20 + 1)
    expect(overlapCost(costs, [[0, 1], [2]])).toBe(20 + 5 + 20)
  })

  it('fills a stage as long as it is hidden', () => {
    const costs = costsOf([0, 10], [4, 6], [4, 6], [4, 6], [4, 6])
    expect(overlapCost(costs, greedy.partition(costs, 3))).toBe(34)
    expect(new OverlapSolver(greedy).solve({ stage_costs: costs, overlap_degree: null }).overlap_cost).toBe(
      34,
    )
  })
})
