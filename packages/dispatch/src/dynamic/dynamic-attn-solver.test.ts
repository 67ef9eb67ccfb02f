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
import { MinHeapDispatchAlg } from '../algorithms/min-heap.js'
import { DispatchConfig } from '../dispatch-config.js'
import { type DistAttnProblem, DistAttnSolver } from '../dist-attn-solver/dist-attn-solver.js'
import type { ShardingOptions } from '../dist-attn-solver/sharding.js'
import { make_dispatch_meta_from_qk_ranges } from '../make-dispatch-meta.js'
import type { AttnArg } from '../meta/attn-arg.js'
import type { GroupCollectiveArg } from '../meta/group-collective-arg.js'
import { DynamicAttnAlgType } from './dynamic-attn-alg-type.js'
import type { DynamicRankPlan } from './dynamic-attn-plan.js'
import { DynamicAttnSolver, type DynamicAttnSolverOptions } from './dynamic-attn-solver.js'

const equalHeads = { num_heads_q: 4, num_heads_kv: 4, head_dim: 8 }
const groupedHeads = { num_heads_q: 8, num_heads_kv: 2, head_dim: 8 }
const algs = Object.values(DynamicAttnAlgType)

interface Case {
  readonly slices: readonly { readonly q: NaiveRange; readonly k: NaiveRange; readonly type: AttnMaskType }[]
  readonly queries: ShardingOptions
  readonly keys?: ShardingOptions | undefined
}

const problemOf = ({ slices, queries, keys }: Case): DistAttnProblem => ({
  q_ranges: slices.map(slice => slice.q),
  k_ranges: slices.map(slice => slice.k),
  attn_mask_type: slices.map(slice => slice.type),
  dispatch_meta_q: queries,
  dispatch_meta_k: keys,
})

const solve = (given: Case, options: Partial<DynamicAttnSolverOptions> = {}) =>
  new DynamicAttnSolver({ ...equalHeads, ...options }).solve(problemOf(given))

const positions = (ranges: AttnRanges): number[] =>
  [...ranges].flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i))

const sorted = (numbers: Iterable<number>) => [...numbers].sort((a, b) => a - b)

/** Cells of bands, as `q * width + k`, with repetitions. */
function cellsOf(bands: readonly Band[], width: number): number[] {
  const cells: number[] = []
  for (const { q0, q1, k0, k1, lo, hi } of bands) {
    for (let q = q0; q < q1; q++) {
      for (let k = Math.max(k0, q + lo); k < Math.min(k1, q + hi + 1); k++) cells.push(q * width + k)
    }
  }
  return cells
}

interface Cell {
  readonly q: number
  readonly k: number
}

/** Cells of a kernel call, in global positions. */
function globalCells(arg: AttnArg, queries: readonly number[], keys: readonly number[]): Cell[] {
  const width = 1 + keys.length
  const bands = arg.attn_type_map.map((type, i) => sliceToBand(arg.q_ranges.at(i), arg.k_ranges.at(i), type))
  return cellsOf(bands, width).map(cell => {
    const q = queries[Math.floor(cell / width)]
    const k = keys[cell % width]
    if (q === undefined || k === undefined) throw new Error('a cell outside of the buffers')
    return { q, k }
  })
}

/** Runs a group reduce on all ranks by its definition; each output row adds up what comes to it. */
function groupReduce(args: readonly GroupCollectiveArg[], inputs: readonly number[][], outputs: number[][]) {
  const queues = args.map(() => args.map((): number[][] => []))
  args.forEach((arg, source) => {
    const { input_split_sizes, dst_index } = arg.to_group_reduce_args()
    pieces(inputs[source]!, input_split_sizes).forEach((piece, i) => {
      queues[source]![dst_index[i]!]!.push(piece)
    })
  })
  args.forEach((arg, rank) => {
    const { output_split_sizes, src_indices } = arg.to_group_reduce_args()
    let at = 0
    output_split_sizes.forEach((size, i) => {
      for (const source of src_indices[i]!) {
        const piece = queues[source]![rank]!.shift()!
        expect(piece.length).toBe(size)
        piece.forEach((value, row) => {
          outputs[rank]![at + row]! += value
        })
      }
      at += size
    })
    expect(at).toBe(outputs[rank]!.length)
  })
  expect(queues.flat(2)).toEqual([])
}

/** Checks everything that a plan promises against the dense mask. */
function checkPlan(given: Case, options: Partial<DynamicAttnSolverOptions> = {}): void {
  const total = 1 + (given.keys ?? given.queries).total_seqlen
  const plan = solve(given, options)
  const plans = Array.from({ length: plan.cp_size }, (_, rank) => plan.solveRank(rank))
  const hostQueries = plans.map(rank => positions(rank.host_q_ranges))
  const hostKeys = plans.map(rank => positions(rank.host_k_ranges))
  const argsOf = (side: 'qo' | 'kv') =>
    plans.map(({ comm_meta }) => comm_meta[`${side}_group_collective_args_list`][0]!)
  const gotQueries = groupCast(argsOf('qo'), hostQueries)
  const gotKeys = groupCast(argsOf('kv'), hostKeys)

  const cells: number[] = []
  /** Cells that each rank computes in each row of its query buffer, and in each row of its key buffer. */
  const perQuery = plans.map(
    (_, rank) => new Map(gotQueries[rank]!.concat(hostQueries[rank]!).map(q => [q, 0])),
  )
  const perKey = plans.map((_, rank) => new Map(gotKeys[rank]!.concat(hostKeys[rank]!).map(k => [k, 0])))
  plans.forEach(({ calc_meta, remote_q_ranges, remote_k_ranges }, rank) => {
    const [queries, keys] = [hostQueries[rank]!, hostKeys[rank]!]
    expect(gotQueries[rank]).toEqual(positions(remote_q_ranges))
    expect(gotKeys[rank]).toEqual(positions(remote_k_ranges))
    expect(calc_meta).toMatchObject({
      seqlen_q_local: queries.length,
      seqlen_k_local: keys.length,
      seqlen_q_remote: gotQueries[rank]!.length,
      seqlen_k_remote: gotKeys[rank]!.length,
    })
    const local = globalCells(calc_meta.local_attn_arg, queries, keys)
    const allQueries = [...queries, ...gotQueries[rank]!]
    const allKeys = [...keys, ...gotKeys[rank]!]
    const remote = globalCells(calc_meta.remote_attn_arg, allQueries, allKeys)
    // Nothing that could run before the fetch waits for it.
    const [ownQueries, ownKeys] = [new Set(queries), new Set(keys)]
    expect(remote.filter(({ q, k }) => ownQueries.has(q) && ownKeys.has(k))).toEqual([])
    expect(calc_meta.total_area).toBe(local.length + remote.length)
    expect(plan.areas[rank]).toBe(calc_meta.total_area)
    for (const { q, k } of [...local, ...remote]) {
      cells.push(q * total + k)
      perQuery[rank]!.set(q, perQuery[rank]!.get(q)! + 1)
      perKey[rank]!.set(k, perKey[rank]!.get(k)! + 1)
    }
    // Each fetched row is needed, and comes once; none of them was there before.
    expect(new Set(gotQueries[rank]).size).toBe(gotQueries[rank]!.length)
    expect(gotQueries[rank]!.filter(q => ownQueries.has(q) || perQuery[rank]!.get(q) === 0)).toEqual([])
    expect(gotKeys[rank]!.filter(k => ownKeys.has(k) || perKey[rank]!.get(k) === 0)).toEqual([])
  })
  const bands = given.slices.map(({ q, k, type }) => sliceToBand(q, k, type))
  const expected = sorted(new Set(cellsOf(bands, total)))
  expect(sorted(cells)).toEqual(expected)

  // The way back: with the count of cells in place of an output, each owner ends with the count of its row.
  const countBack = (side: 'qo' | 'kv', host: number[][], got: number[][], per: Map<number, number>[]) => {
    const outputs = host.map((rows, rank) => rows.map(row => per[rank]!.get(row)!))
    const inputs = got.map((rows, rank) => rows.map(row => per[rank]!.get(row)!))
    groupReduce(argsOf(side), inputs, outputs)
    host.forEach((rows, rank) => {
      rows.forEach((row, i) => {
        const count = expected.filter(
          cell => (side === 'qo' ? Math.floor(cell / total) : cell % total) === row,
        )
        expect(outputs[rank]![i]).toBe(count.length)
      })
    })
  }
  countBack('qo', hostQueries, gotQueries, perQuery)
  countBack('kv', hostKeys, gotKeys, perKey)
}

const range = (total: number) =>
  fc
    .tuple(fc.integer({ min: 0, max: total }), fc.integer({ min: 0, max: total }))
    .map(([a, b]): NaiveRange => [Math.min(a, b), Math.max(a, b)])

/** Any chunks, given to any ranks: uneven shards, ranks without chunks. */
const sharding = (total_seqlen: number, cp_size: number): fc.Arbitrary<ShardingOptions> =>
  fc.integer({ min: 1, max: 6 }).chain(chunk_size => {
    const count = Math.ceil(total_seqlen / chunk_size)
    return fc
      .array(fc.integer({ min: 0, max: cp_size - 1 }), { minLength: count, maxLength: count })
      .map(owners => ({
        total_seqlen,
        chunk_size,
        partitions: Array.from({ length: cp_size }, (_, rank) =>
          owners.flatMap((owner, chunk) => (owner === rank ? [chunk] : [])),
        ),
      }))
  })

const anyCase: fc.Arbitrary<Case> = fc
  .record({
    total: fc.integer({ min: 1, max: 30 }),
    cp_size: fc.integer({ min: 1, max: 6 }),
    hasOwnKeys: fc.boolean(),
  })
  .chain(({ total, cp_size, hasOwnKeys }) =>
    fc.record({
      slices: fc.array(
        fc.record({ q: range(total), k: range(total), type: fc.constantFrom(...ATTN_MASK_TYPES) }),
        {
          maxLength: 5,
        },
      ),
      queries: sharding(total, cp_size),
      keys: hasOwnKeys ? sharding(total, cp_size) : fc.constant(undefined),
    }),
  )

/** A mask on ranks with equal shards. */
function dispatched(slices: Case['slices'], total: number, cp_size: number, chunk_size: number): Case {
  const [queries] = make_dispatch_meta_from_qk_ranges({
    q_ranges: slices.map(slice => slice.q),
    k_ranges: slices.map(slice => slice.k),
    attn_mask_type: slices.map(slice => slice.type),
    total_seqlen_q: total,
    total_seqlen_k: total,
    chunk_size,
    cp_size,
    cp_rank: 0,
    dispatch_config: new DispatchConfig({ alg: new MinHeapDispatchAlg() }),
  })
  return { slices, queries }
}

/** What the static solver moves in a forward and a backward pass, in bytes: k and v twice, dk and dv. */
function staticBytes(given: Case, heads: typeof equalHeads): number {
  const { remoteKeys } = new DistAttnSolver(heads).solve(problemOf(given))
  const rows = remoteKeys.starts.reduce((sum, start, i) => sum + remoteKeys.ends[i]! - start, 0)
  return rows * 6 * heads.num_heads_kv * heads.head_dim * 2
}

const bytesOf = ({ volume }: { volume: { forward: number; backward: number } }) =>
  volume.forward + volume.backward

const total = 4096
const blocks = Array.from({ length: 32 }, (_, i) => {
  const [start, end] = [32 + i * 127, 32 + (i + 1) * 127]
  return { q: [start, end] as NaiveRange, k: [start, end] as NaiveRange, type: 'causal' as const }
})
/** Masks on which moving keys alone is wasteful. */
const wasteful: Record<string, (cp_size: number) => Case> = {
  'a full mask': p => dispatched([{ q: [0, total], k: [0, total], type: 'full' }], total, p, total / p / 2),
  'a causal mask': p =>
    dispatched([{ q: [0, total], k: [0, total], type: 'causal' }], total, p, total / p / 4),
  'global queries beside short documents': p =>
    dispatched([{ q: [0, 32], k: [0, total], type: 'full' }, ...blocks], total, p, total / p / 4),
  'a few last queries that see everything': p =>
    dispatched([{ q: [total - 64, total], k: [0, total], type: 'causal' }], total, p, total / p),
}

describe('DynamicAttnSolver', () => {
  for (const alg of algs) {
    it(`${alg}: computes each cell once, moves each needed row once, and takes results back`, () => {
      const heads = fc.constantFrom(equalHeads, groupedHeads)
      fc.assert(
        fc.property(anyCase, heads, (given, heads) => checkPlan(given, { ...heads, alg })),
        { numRuns: 120 },
      )
    })
  }

  it('gives every rank the same result, whoever solves', () => {
    fc.assert(
      fc.property(anyCase, fc.constantFrom(...algs), (given, alg) => {
        const first = solve(given, { alg })
        const again = solve(structuredClone(given), { alg })
        const backwards: DynamicRankPlan[] = []
        for (let rank = again.cp_size - 1; rank >= 0; rank--) backwards.push(again.solveRank(rank))
        expect(backwards.reverse()).toEqual(backwards.map((_, rank) => first.solveRank(rank)))
      }),
      { numRuns: 60 },
    )
  })

  it('keeps the limit of the work for any mask, or is at most a cell above the mean', () => {
    const balanced = fc.constantFrom(DynamicAttnAlgType.BINARY_GREEDY, DynamicAttnAlgType.GREEDY_RANDOM_GRID)
    const limit = fc.constantFrom(1.02, 1.1, 1.5)
    fc.assert(
      fc.property(anyCase, balanced, limit, (given, alg, max_imbalance) => {
        const plan = solve(given, { alg, max_imbalance })
        const mean = plan.areas.reduce((sum, area) => sum + area, 0) / plan.cp_size
        expect(Math.max(...plan.areas)).toBeLessThanOrEqual(Math.max(max_imbalance * mean, mean + 1))
      }),
      { numRuns: 200 },
    )
  })

  it('cuts a mask that lies on one rank alone', () => {
    const slices = [{ q: [0, 64], k: [0, 64], type: 'full' }] as const
    const queries = { total_seqlen: 256, chunk_size: 64, partitions: [[0], [1], [2], [3]] }
    const plan = solve({ slices, queries })
    expect(plan.imbalance).toBeLessThanOrEqual(1.1)
    checkPlan({ slices, queries })
  })

  it('moves as much as the static solver when queries stay', () => {
    fc.assert(
      fc.property(anyCase, given => {
        const plan = solve(given, { alg: DynamicAttnAlgType.NON_COMMUNICATION_QO })
        expect(bytesOf(plan)).toBe(staticBytes(given, equalHeads))
        expect(plan.remoteQueries.starts).toHaveLength(0)
      }),
      { numRuns: 60 },
    )
  })

  it('never moves more than the static solver where that is balanced', () => {
    const heads = fc.constantFrom(equalHeads, groupedHeads)
    fc.assert(
      fc.property(anyCase, heads, (given, heads) => {
        const byQuery = solve(given, { ...heads, alg: DynamicAttnAlgType.NON_COMMUNICATION_QO })
        fc.pre(byQuery.imbalance <= 1.1)
        expect(bytesOf(solve(given, heads))).toBeLessThanOrEqual(staticBytes(given, heads))
      }),
      { numRuns: 80 },
    )
  })

  for (const [name, make] of Object.entries(wasteful)) {
    it(`moves less than the static solver on ${name}`, () => {
      for (const cp_size of [4, 8, 16]) {
        const given = make(cp_size)
        const plan = solve(given)
        expect(plan.imbalance).toBeLessThanOrEqual(1.1)
        expect(bytesOf(plan)).toBeLessThan(0.75 * staticBytes(given, equalHeads))
      }
    })
  }

  it('arranges ranks in a grid on a full mask', () => {
    // 16 ranks as 4 x 4: 3 shards of queries and 3 of keys, where the static solver fetches 15 of keys.
    const plan = solve(wasteful['a full mask']!(16))
    const shard = total / 16
    expect(plan.imbalance).toBe(1)
    const { seqlen_q_remote, seqlen_k_remote } = plan.solveRank(5).calc_meta
    expect([seqlen_q_remote, seqlen_k_remote]).toEqual([3 * shard, 3 * shard])
    const row = 4 * 8 * 2
    const lse = 4 * 4
    expect(plan.volume).toEqual({
      forward: 16 * 3 * shard * (2 * row + lse + 2 * row),
      backward: 16 * 3 * shard * (4 * row + lse + 4 * row),
    })
  })

  it('gains where the number of ranks is prime, too', () => {
    for (const cp_size of [7, 11, 13]) {
      const total_seqlen = 64 * cp_size
      const partitions = Array.from({ length: cp_size }, (_, rank) => [rank])
      const queries = { total_seqlen, chunk_size: 64, partitions }
      const given: Case = { slices: [{ q: [0, total_seqlen], k: [0, total_seqlen], type: 'full' }], queries }
      const plan = solve(given)
      expect(plan.imbalance).toBeLessThanOrEqual(1.1)
      expect(bytesOf(plan)).toBeLessThan(0.9 * staticBytes(given, equalHeads))
    }
  })

  it('leaves queries where they are when they are too large to move', () => {
    const heads = { num_heads_q: 32, num_heads_kv: 1, head_dim: 8 }
    const given = wasteful['a causal mask']!(4)
    expect(solve(given, heads).remoteQueries.starts).toHaveLength(0)
  })

  it('takes what a rank lacks and nothing on a single rank', () => {
    const queries = { total_seqlen: 16, chunk_size: 16, partitions: [[0]] }
    const plan = solve({ slices: [{ q: [0, 16], k: [0, 16], type: 'causal' }], queries })
    const { calc_meta, comm_meta } = plan.solveRank(0)
    expect(calc_meta.total_area).toBe(136)
    expect(calc_meta.remote_attn_arg.can_skip()).toBe(true)
    expect(comm_meta.num_remote_kv_tokens_per_stage).toEqual([0])
    expect(plan.volume).toEqual({ forward: 0, backward: 0 })
    // The tiles of one rank line up again.
    expect(calc_meta.local_attn_arg.q_ranges.to_naive_ranges()).toEqual([[0, 16]])
  })

  it('refuses what cannot be', () => {
    const queries = {
      total_seqlen: 16,
      chunk_size: 4,
      partitions: [
        [0, 3],
        [1, 2],
      ],
    }
    const good: DistAttnProblem = {
      ...problemOf({ slices: [{ q: [0, 16], k: [0, 16], type: 'full' }], queries }),
    }
    const make = (change: object) => () => new DynamicAttnSolver({ ...equalHeads, ...change })
    const run = (change: object) => () => new DynamicAttnSolver(equalHeads).solve({ ...good, ...change })
    expect(make({ num_heads_q: 3 })).toThrow(/^num_heads_q: /)
    expect(make({ head_dim: 1.5 })).toThrow(/^head_dim: /)
    expect(make({ alg: 'simplex_network_flow' })).toThrow(/^alg: expected 'non_communication_qo' \|/)
    for (const bad of [1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1.1']) {
      expect(make({ max_imbalance: bad })).toThrow(/^max_imbalance: /)
    }
    expect(make({ bytes_per_element: 0 })).toThrow(/^bytes_per_element: /)
    expect(make({ deterministic: 1 })).toThrow(/^deterministic: /)
    expect(() => new DynamicAttnSolver(undefined as never)).toThrow(ArgumentError)
    expect(run({ q_ranges: [[0, 17]] })).toThrow(InvalidRangeError)
    expect(run({ k_ranges: [] })).toThrow(ShapeError)
    expect(run({ attn_mask_type: ['sparse'] })).toThrow(/attn_mask_type\[0\]/)
    expect(run({ dispatch_meta_q: { ...queries, chunk_size: 0 } })).toThrow(/^dispatch_meta_q.chunk_size: /)
    expect(run({ dispatch_meta_k: { ...queries, partitions: [[0, 1, 2, 3]] } })).toThrow(/^dispatch_meta_k: /)
    const plan = new DynamicAttnSolver(equalHeads).solve(good)
    expect(() => plan.solveRank(2)).toThrow(IndexError)
    expect(() => plan.solveRank(-1)).toThrow(IndexError)
  })
})
