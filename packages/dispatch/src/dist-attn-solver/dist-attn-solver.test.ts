import {
  ArgumentError,
  ATTN_MASK_TYPES,
  type AttnMaskType,
  type AttnRanges,
  type Band,
  IndexError,
  InvalidRangeError,
  type NaiveRange,
  ShapeError,
  sliceToBand,
} from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { groupCast, pieces } from '../../test/group-cast-by-definition.js'
import { DispatchConfig } from '../dispatch-config.js'
import { make_dispatch_meta_from_qk_ranges } from '../make-dispatch-meta.js'
import type { AttnArg } from '../meta/attn-arg.js'
import type { GroupCollectiveArg } from '../meta/group-collective-arg.js'
import { AttnOverlapMode } from '../overlap/attn-overlap-mode.js'
import { GreedyOverlapAlg } from '../overlap/greedy-overlap-alg.js'
import { OverlapConfig, type OverlapConfigOptions } from '../overlap/overlap-config.js'
import { overlapCost } from '../overlap/overlap-cost.js'
import { UniformOverlapAlg } from '../overlap/uniform-overlap-alg.js'
import type { DistAttnPlan, RankPlan } from './dist-attn-plan.js'
import { type DistAttnProblem, DistAttnSolver } from './dist-attn-solver.js'
import type { ShardingOptions } from './sharding.js'

interface Slice {
  readonly q: NaiveRange
  readonly k: NaiveRange
  readonly type: AttnMaskType
}

interface Case {
  readonly slices: readonly Slice[]
  readonly sharding: ShardingOptions
  readonly overlap?: OverlapConfigOptions
}

const heads = { num_heads_q: 4, num_heads_kv: 2, head_dim: 8 }

const problemOf = ({ slices, sharding }: Case): DistAttnProblem => ({
  q_ranges: slices.map(slice => slice.q),
  k_ranges: slices.map(slice => slice.k),
  attn_mask_type: slices.map(slice => slice.type),
  dispatch_meta_q: sharding,
})

const solve = (given: Case) =>
  new DistAttnSolver({ ...heads, overlap_config: new OverlapConfig(given.overlap) }).solve(problemOf(given))

/** The parts of all ranks. */
const solveAll = (given: Case): RankPlan[] => {
  const plan = solve(given)
  return Array.from({ length: plan.cp_size }, (_, rank) => plan.solveRank(rank))
}

const positions = (ranges: AttnRanges): number[] =>
  [...ranges].flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i))

/** Cells of bands, as `q * total + k`, with repetitions. */
function cellsOf(bands: readonly Band[], total: number): number[] {
  const cells: number[] = []
  for (const { q0, q1, k0, k1, lo, hi } of bands) {
    for (let q = q0; q < q1; q++) {
      for (let k = Math.max(k0, q + lo); k < Math.min(k1, q + hi + 1); k++) cells.push(q * total + k)
    }
  }
  return cells
}

/** Cells of a kernel call, in global positions; throws when it leaves its buffers. */
function globalCells(arg: AttnArg, queries: readonly number[], keys: readonly number[], total: number) {
  const width = 1 + keys.length
  const bands = arg.attn_type_map.map((type, i) => sliceToBand(arg.q_ranges.at(i), arg.k_ranges.at(i), type))
  return cellsOf(bands, width).map(cell => {
    const q = queries[Math.floor(cell / width)]
    const k = keys[cell % width]
    if (q === undefined || k === undefined) throw new Error('a cell outside of the buffers')
    return q * total + k
  })
}

const sorted = (numbers: Iterable<number>) => [...numbers].sort((a, b) => a - b)

/** Runs a group reduce on all ranks by its definition; each output row collects what comes to it. */
function groupReduce(args: readonly GroupCollectiveArg[], inputs: readonly number[][], lengths: number[]) {
  const queues = args.map(() => args.map((): number[][] => []))
  args.forEach((arg, source) => {
    const { input_split_sizes, dst_index } = arg.to_group_reduce_args()
    pieces(inputs[source]!, input_split_sizes).forEach((piece, i) => {
      queues[source]![dst_index[i]!]!.push(piece)
    })
  })
  const outputs = args.map((arg, rank) => {
    const { output_split_sizes, src_indices } = arg.to_group_reduce_args()
    const rows = Array.from({ length: lengths[rank]! }, (): number[] => [])
    pieces(rows, output_split_sizes).forEach((slot, i) => {
      for (const source of src_indices[i]!) {
        const piece = queues[source]![rank]!.shift()!
        expect(piece.length).toBe(slot.length)
        slot.forEach((row, at) => void row.push(piece[at]!))
      }
    })
    return rows
  })
  expect(queues.flat(2)).toEqual([])
  return outputs
}

/** Checks that the costs which stages were chosen by are those of the stages that came out. */
function checkCosts({ overlap_config, stagePlan }: DistAttnPlan, plans: readonly RankPlan[]): void {
  const { degree, alg, calc_cost_factor, comm_cost_factor } = overlap_config
  if (degree !== null && !alg.uses_costs) return
  stagePlan.solutions.forEach(({ overlap_cost }, rank) => {
    const { calc_meta } = plans[rank]!
    const costs = [
      { comm_cost: 0, calc_cost: calc_cost_factor * calc_meta.local_attn_arg.total_area },
      ...calc_meta.remote_attn_args_list.map((arg, stage) => ({
        comm_cost: comm_cost_factor * calc_meta.seqlen_k_per_remote_stage[stage]!,
        calc_cost: calc_cost_factor * arg.total_area,
      })),
    ]
    const stages = calc_meta.remote_attn_args_list.map((_, stage) => [stage + 1])
    expect(overlapCost(costs, stages)).toBeCloseTo(overlap_cost)
  })
}

/** Checks everything that a plan promises against the dense mask. */
function checkPlan(given: Case): void {
  const total = given.sharding.total_seqlen
  const plan = solve(given)
  const plans = Array.from({ length: plan.cp_size }, (_, rank) => plan.solveRank(rank))
  checkCosts(plan, plans)
  const cells: number[] = []
  const used = plans.map(() => new Set<number>())
  const queries = plans.map(plan => positions(plan.host_q_ranges))
  const hostKeys = plans.map(plan => positions(plan.host_k_ranges))
  const degree = plans[0]!.calc_meta.overlap_degree

  const compute = (rank: number, arg: AttnArg, keys: readonly number[]): number[] => {
    const found = globalCells(arg, queries[rank]!, keys, total)
    expect(arg.total_area).toBe(found.length)
    for (const cell of found) used[rank]!.add(cell % total)
    return found
  }
  const perRank = plans.map(({ calc_meta }, rank) => compute(rank, calc_meta.local_attn_arg, hostKeys[rank]!))
  const receivedKeys = plans.map((): number[] => [])

  for (let stage = 0; stage < degree; stage++) {
    const args = plans.map(plan => plan.comm_meta.kv_group_collective_args_list[stage]!)
    const buffers = groupCast(args, hostKeys)
    plans.forEach((plan, rank) => {
      const buffer = buffers[rank]!
      expect(buffer).toEqual(positions(plan.remote_k_ranges_per_stage[stage]!))
      expect(plan.calc_meta.seqlen_k_per_remote_stage[stage]).toBe(buffer.length)
      expect(plan.comm_meta.num_remote_kv_tokens_per_stage[stage]).toBe(buffer.length)
      receivedKeys[rank]!.push(...buffer)
      const found = compute(rank, plan.calc_meta.remote_attn_args_list[stage]!, buffer)
      for (const cell of found) perRank[rank]!.push(cell)
    })
    const wanting = hostKeys.map(keys =>
      keys.map(key => buffers.flatMap(buffer => (buffer.includes(key) ? [key] : []))),
    )
    const lengths = hostKeys.map(keys => keys.length)
    expect(groupReduce(args, buffers, lengths)).toEqual(wanting)
  }

  plans.forEach((plan, rank) => {
    const { calc_meta, comm_meta, remote_k_ranges } = plan
    expect([calc_meta.overlap_degree, comm_meta.overlap_degree]).toEqual([degree, degree])
    // Each received row is needed, and comes once; none of them was there before.
    expect(sorted(receivedKeys[rank]!)).toEqual(positions(remote_k_ranges))
    for (const key of receivedKeys[rank]!) expect(used[rank]!.has(key)).toBe(true)
    const own = new Set(hostKeys[rank]!)
    expect(receivedKeys[rank]!.filter(key => own.has(key))).toEqual([])
    expect(remote_k_ranges.is_merged()).toBe(true)

    expect(calc_meta.total_area).toBe(perRank[rank]!.length)
    if (calc_meta.merged_attn_arg !== null) {
      const keys = [...hostKeys[rank]!, ...receivedKeys[rank]!]
      const merged = globalCells(calc_meta.merged_attn_arg, queries[rank]!, keys, total)
      expect(sorted(merged)).toEqual(sorted(perRank[rank]!))
      expect(calc_meta.merged_attn_arg.total_area).toBe(merged.length)
    }
    cells.push(...perRank[rank]!)
  })
  const bands = given.slices.map(({ q, k, type }) => sliceToBand(q, k, type))
  expect(sorted(cells)).toEqual(sorted(new Set(cellsOf(bands, total))))
}

const total_seqlen = fc.integer({ min: 1, max: 36 })
const overlap: fc.Arbitrary<OverlapConfigOptions> = fc
  .record({
    degree: fc.constantFrom(0, 1, 2, 3, 4, 5, null),
    min_chunk_size: fc.integer({ min: 1, max: 5 }),
    max_num_chunks: fc.integer({ min: 5, max: 9 }),
    dynamic_max_degree: fc.constantFrom(null, 1, 4, 8),
    calc_cost_factor: fc.constantFrom(0.05, 1),
    alg: fc.constantFrom(
      new UniformOverlapAlg(),
      new UniformOverlapAlg({ random_costs: true, random_seed: 7 }),
      new GreedyOverlapAlg(),
    ),
  })
  .map(options => ({
    ...options,
    mode: options.degree === null ? AttnOverlapMode.DYNAMIC : AttnOverlapMode.STATIC,
  }))

const range = (total: number) =>
  fc
    .tuple(fc.integer({ min: 0, max: total }), fc.integer({ min: 0, max: total }))
    .map(([a, b]): NaiveRange => [Math.min(a, b), Math.max(a, b)])

/** Any mask, any chunks, given to any ranks: uneven shards, ranks without chunks, slices that overlap. */
const anyCase: fc.Arbitrary<Case> = total_seqlen.chain(total =>
  fc
    .record({
      chunk_size: fc.integer({ min: 1, max: 8 }),
      cp_size: fc.integer({ min: 1, max: 8 }),
      slices: fc.array(
        fc.record({ q: range(total), k: range(total), type: fc.constantFrom(...ATTN_MASK_TYPES) }),
        { maxLength: 6 },
      ),
      overlap,
    })
    .chain(({ chunk_size, cp_size, slices, overlap }) => {
      const count = Math.ceil(total / chunk_size)
      return fc
        .array(fc.integer({ min: 0, max: cp_size - 1 }), { minLength: count, maxLength: count })
        .map(owners => ({
          slices,
          overlap,
          sharding: {
            total_seqlen: total,
            chunk_size,
            partitions: Array.from({ length: cp_size }, (_, rank) =>
              owners.flatMap((owner, chunk) => (owner === rank ? [chunk] : [])),
            ),
          },
        }))
    }),
)

const causal = (total: number): Slice => ({ q: [0, total], k: [0, total], type: 'causal' })
const sixteen: ShardingOptions = {
  total_seqlen: 16,
  chunk_size: 2,
  partitions: [
    [0, 3, 4, 7],
    [1, 2, 5, 6],
  ],
}
const text = (ranges: AttnRanges) => ranges.to_naive_ranges()

describe('DistAttnSolver', () => {
  it('computes each cell once, moves each needed row once, and agrees on all ranks', () => {
    fc.assert(fc.property(anyCase, checkPlan), { numRuns: 500 })
  })

  it('gives every rank the same result, whoever solves', () => {
    fc.assert(
      fc.property(anyCase, given => {
        const copy: Case = structuredClone({ slices: given.slices, sharding: given.sharding })
        const again = solve({ ...copy, ...(given.overlap ? { overlap: given.overlap } : {}) })
        const backwards = Array.from({ length: again.cp_size }, (_, i) =>
          again.solveRank(again.cp_size - 1 - i),
        )
        expect(backwards.reverse()).toEqual(solveAll(given))
      }),
      { numRuns: 100 },
    )
  })

  it('solves the causal mask of 16 tokens on two ranks', () => {
    const given: Case = { slices: [causal(16)], sharding: sixteen }
    checkPlan(given)
    const [first, second] = solveAll(given) as [RankPlan, RankPlan]

    expect(text(first.host_k_ranges)).toEqual([
      [0, 2],
      [6, 10],
      [14, 16],
    ])
    expect(text(first.remote_k_ranges)).toEqual([
      [2, 6],
      [10, 14],
    ])
    expect(first.calc_meta.local_attn_arg.total_area).toBe(36)
    expect(first.calc_meta.remote_attn_args_list.map(arg => arg.total_area)).toEqual([32])
    // The four causal slices of its chunks line up to one, and two of the three full ones.
    expect(text(first.calc_meta.local_attn_arg.q_ranges)).toEqual([[0, 8]])
    expect(text(first.calc_meta.local_attn_arg.k_ranges)).toEqual([[0, 8]])
    expect(first.calc_meta.local_attn_arg.attn_type_map).toEqual([1])
    expect(first.calc_meta.remote_attn_args_list[0]?.attn_type_map).toEqual([0, 0])
    expect(first.comm_meta.kv_group_collective_args_list[0]).toMatchObject({
      input_split_size_list: [2, 4, 2],
      dst_indices_list: [[1], [1], []],
      output_split_size_list: [4, 4],
      src_index_list: [1, 1],
      rank: 0,
      world_size: 2,
    })

    expect(text(second.remote_k_ranges)).toEqual([
      [0, 2],
      [6, 10],
    ])
    expect(second.calc_meta.seqlen_k_per_remote_stage).toEqual([6])
    expect(second.calc_meta.local_attn_arg.total_area).toBe(36)
    const [remote] = second.calc_meta.remote_attn_args_list
    expect(remote?.total_area).toBe(32)
    expect(text(remote!.q_ranges)).toEqual([
      [0, 4],
      [4, 8],
    ])
    expect(text(remote!.k_ranges)).toEqual([
      [0, 2],
      [0, 6],
    ])
    expect(second.comm_meta.kv_group_collective_args_list[0]).toMatchObject({
      input_split_size_list: [4, 4],
      dst_indices_list: [[0], [0]],
      output_split_size_list: [2, 4],
      src_index_list: [0, 0],
    })
    expect(first.comm_meta.kv_bytes_per_stage()).toEqual([{ sent: 6 * 64, received: 8 * 64 }])
  })

  it('asks for no key that it does not need', () => {
    const given: Case = {
      slices: [
        { q: [0, 1], k: [0, 1], type: 'full' },
        { q: [1, 5], k: [1, 4], type: 'full' },
        { q: [5, 12], k: [5, 10], type: 'full' },
        { q: [12, 16], k: [12, 13], type: 'full' },
      ],
      sharding: { total_seqlen: 16, chunk_size: 4, partitions: [[2], [1], [0], [3]] },
    }
    checkPlan(given)
    expect(solveAll(given).map(plan => text(plan.remote_k_ranges))).toEqual([
      [[5, 8]],
      [
        [1, 4],
        [8, 10],
      ],
      [],
      [],
    ])
  })

  it('computes a cell of several slices once', () => {
    const given: Case = {
      slices: [causal(16), causal(16), { q: [0, 16], k: [0, 4], type: 'full' }],
      sharding: sixteen,
    }
    checkPlan(given)
    const area = solveAll(given).reduce((sum, { calc_meta }) => sum + calc_meta.total_area, 0)
    expect(area).toBe(136 + 6)
  })

  it('takes a DispatchMeta, also of uneven shards', () => {
    const mask = { q_ranges: [[0, 50]], k_ranges: [[0, 50]], attn_mask_type: 'causal' } as const
    const [meta] = make_dispatch_meta_from_qk_ranges({
      ...mask,
      total_seqlen_q: 50,
      total_seqlen_k: 50,
      chunk_size: 8,
      cp_size: 4,
      cp_rank: 2,
      dispatch_config: new DispatchConfig({ uneven_shard: true }),
    })
    expect(meta.split_sizes).toEqual([8, 16, 10, 16])
    checkPlan({ slices: [causal(50)], sharding: meta, overlap: { degree: 2, min_chunk_size: 3 } })
    const plan = new DistAttnSolver(heads).solve({ ...mask, dispatch_meta_q: meta })
    const seqlens = [0, 1, 2, 3].map(rank => plan.solveRank(rank).calc_meta.seqlen_q_shard)
    expect(seqlens).toEqual(meta.split_sizes)
  })

  it('merges everything into one call with degree 0', () => {
    const given: Case = { slices: [causal(16)], sharding: sixteen, overlap: { degree: 0, min_chunk_size: 1 } }
    checkPlan(given)
    const [first] = solveAll(given) as [RankPlan]
    expect(first.calc_meta).toMatchObject({ no_overlap: true, overlap_degree: 1 })
    expect(text(first.calc_meta.merged_attn_arg!.k_ranges).at(0)).toEqual([0, 8])
    expect(
      text(first.calc_meta.merged_attn_arg!.k_ranges)
        .slice(1)
        .flat()
        .every(k => k >= 8),
    ).toBe(true)
    expect(first.calc_meta.merged_attn_arg!.total_area).toBe(68)
  })

  it('has no stage on a single rank', () => {
    for (const degree of [0, 1, 3]) {
      const sharding = { total_seqlen: 16, chunk_size: 16, partitions: [[0]] }
      const [only] = solveAll({ slices: [causal(16)], sharding, overlap: { degree } }) as [RankPlan]
      expect(only.calc_meta.overlap_degree).toBe(0)
      expect(only.comm_meta.kv_group_collective_args_list).toEqual([])
      expect(only.calc_meta.total_area).toBe(136)
    }
  })

  it('pads ranks that want fewer stages with idle ones', () => {
    const sharding = {
      total_seqlen: 32,
      chunk_size: 8,
      partitions: [
        [0, 1],
        [2, 3],
      ],
    }
    const overlap: OverlapConfigOptions = {
      mode: 'dynamic',
      degree: null,
      min_chunk_size: 4,
      comm_cost_factor: 10,
    }
    const plan = solve({ slices: [causal(32)], sharding, overlap })
    expect(plan.stagePlan.solutions.map(solution => solution.overlap_degree)).toEqual([1, 2])
    expect(plan.overlap_degree).toBe(2)
    expect(plan.solveRank(0).calc_meta.seqlen_k_per_remote_stage).toEqual([0, 0])
    expect(plan.solveRank(1).calc_meta.seqlen_k_per_remote_stage).toEqual([8, 8])
    checkPlan({ slices: [causal(32)], sharding, overlap })
  })

  it('cuts remote keys into chunks, and chunks into stages', () => {
    const sharding = {
      total_seqlen: 32,
      chunk_size: 8,
      partitions: [
        [0, 1],
        [2, 3],
      ],
    }
    const stagesOf = (overlap: OverlapConfigOptions) =>
      solve({ slices: [causal(32)], sharding, overlap }).solveRank(1).calc_meta.seqlen_k_per_remote_stage
    expect(stagesOf({ degree: 2 })).toEqual([16, 0])
    expect(stagesOf({ degree: 2, min_chunk_size: 5 })).toEqual([10, 6])
    // Three chunks at most: they hold 6, 6 and 4 keys instead of 1.
    expect(stagesOf({ degree: 3, min_chunk_size: 1, max_num_chunks: 3 })).toEqual([6, 6, 4])
  })

  it('lets queries and keys lie apart', () => {
    const solver = new DistAttnSolver(heads)
    const plan = solver.solve({
      q_ranges: [[0, 8]],
      k_ranges: [[0, 12]],
      attn_mask_type: 'causal',
      dispatch_meta_q: { total_seqlen: 8, chunk_size: 4, partitions: [[0], [1]] },
      dispatch_meta_k: { total_seqlen: 12, chunk_size: 4, partitions: [[1], [0, 2]] },
    })
    expect(text(plan.solveRank(0).remote_k_ranges)).toEqual([[0, 4]])
    expect(text(plan.solveRank(1).remote_k_ranges)).toEqual([[4, 8]])
  })

  it('refuses masks and shardings that cannot be', () => {
    const solver = new DistAttnSolver(heads)
    const good = problemOf({ slices: [causal(16)], sharding: sixteen })
    const withSharding = (change: Partial<ShardingOptions>) => () =>
      solver.solve({ ...good, dispatch_meta_q: { ...sixteen, ...change } })
    expect(() => solver.solve({ ...good, q_ranges: [[0, 17]] })).toThrow(InvalidRangeError)
    expect(() => solver.solve({ ...good, q_ranges: [[0, 17]] })).toThrow(/q_ranges\[0\].*\[0, 16\)/)
    expect(() => solver.solve({ ...good, k_ranges: [[-1, 4]] })).toThrow(/k_ranges\[0\]/)
    expect(() => solver.solve({ ...good, k_ranges: [] })).toThrow(ShapeError)
    expect(() => solver.solve({ ...good, attn_mask_type: ['sparse'] })).toThrow(/attn_mask_type\[0\]/)
    expect(() => solver.solve({ ...good, attn_mask_type: {} as never })).toThrow(ArgumentError)
    expect(() => solver.solve({ ...good, q_ranges: 5 as never })).toThrow(/q_ranges/)
    expect(withSharding({ chunk_size: 0 })).toThrow(/dispatch_meta_q.chunk_size/)
    expect(withSharding({ partitions: [] })).toThrow(/dispatch_meta_q.partitions/)
    expect(
      withSharding({
        partitions: [
          [0, 1, 2, 3],
          [4, 5, 6],
        ],
      }),
    ).toThrow(/chunk 7 is on no rank/)
    expect(
      withSharding({
        partitions: [
          [0, 1, 2, 3],
          [3, 4, 5, 6, 7],
        ],
      }),
    ).toThrow(/rank 0 has chunk 3/)
    expect(
      withSharding({
        partitions: [
          [1, 0, 2, 3],
          [4, 5, 6, 7],
        ],
      }),
    ).toThrow(/ascending/)
    expect(
      withSharding({
        partitions: [
          [0, 1, 2, 3],
          [4, 5, 6, 7, 8],
        ],
      }),
    ).toThrow(/partitions\[1\]/)
    expect(() =>
      solver.solve({ ...good, dispatch_meta_k: { ...sixteen, partitions: [[0, 1, 2, 3, 4, 5, 6, 7]] } }),
    ).toThrow(/dispatch_meta_k/)
    expect(() => solver.solve(good).solveRank(2)).toThrow(IndexError)
    expect(() => solver.solve(good).solveRank(0.5)).toThrow(IndexError)
    expect(() => new DistAttnSolver({ ...heads, num_heads_q: 3 })).toThrow(/num_heads_q/)
    expect(() => new DistAttnSolver({ ...heads, overlap_config: { degree: 1 } as never })).toThrow(
      /overlap_config/,
    )
  })
})
