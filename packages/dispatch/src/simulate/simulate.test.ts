import {
  ArgumentError,
  ATTN_MASK_TYPES,
  InvalidRangeError,
  type MaskSlices,
  type NaiveRange,
  ShapeError,
} from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MinHeapDispatchAlg } from '../algorithms/min-heap.js'
import { DispatchConfig } from '../dispatch-config.js'
import { DistAttnSolver } from '../dist-attn-solver/dist-attn-solver.js'
import { OverlapConfig } from '../overlap/overlap-config.js'
import { format_simulation } from './format-simulation.js'
import { leastReceivedRows } from './least-received-rows.js'
import { type SimulateOptions, simulate } from './simulate.js'

const heads = { num_heads_q: 4, num_heads_kv: 2, head_dim: 8 }
const minHeap = new DispatchConfig({ alg: new MinHeapDispatchAlg() })
const causal = (total: number): MaskSlices => ({
  q_ranges: [[0, total]],
  k_ranges: [[0, total]],
  attn_mask_type: 'causal',
})

const range = (total: number) =>
  fc
    .tuple(fc.integer({ min: 0, max: total - 1 }), fc.integer({ min: 1, max: total }))
    .map(([a, b]): NaiveRange => [Math.min(a, b - 1), Math.max(a + 1, b)])

const anyMask = fc.integer({ min: 8, max: 48 }).chain(total =>
  fc
    .array(fc.record({ q: range(total), k: range(total), type: fc.constantFrom(...ATTN_MASK_TYPES) }), {
      minLength: 1,
      maxLength: 5,
    })
    .map(slices => ({
      q_ranges: slices.map(slice => slice.q),
      k_ranges: slices.map(slice => slice.k),
      attn_mask_type: slices.map(slice => slice.type),
      total_seqlen_q: total,
      total_seqlen_k: total,
    })),
)

describe('simulate', () => {
  it('tells the work and the traffic of the causal mask of 16 tokens on two ranks', () => {
    const simulation = simulate(causal(16), {
      ...heads,
      cp_size: 2,
      chunk_size: 2,
      dispatch_config: minHeap,
    })
    expect(simulation).toMatchObject({
      total_seqlen: 16,
      pad_size: 0,
      partitions: [
        [0, 3, 4, 7],
        [1, 2, 5, 6],
      ],
      overlap_degree: 1,
      cells: 136,
      idealCells: 68,
      imbalance: 1,
      receivedRows: 14,
    })
    // A row of k and v: 2 tensors, 2 heads of 8 elements, 2 bytes each.
    expect(simulation.ranks[0]).toEqual({
      rank: 0,
      shard_seqlen: 8,
      cells: 68,
      hostCells: 36,
      flops: 4 * 68 * 4 * 8,
      sentRows: 6,
      receivedRows: 8,
      sentBytes: 6 * 64,
      receivedBytes: 8 * 64,
      stages: [{ cells: 32, sentRows: 6, receivedRows: 8, sentBytes: 6 * 64, receivedBytes: 8 * 64 }],
    })
    expect(simulation.ranks[1]).toMatchObject({ cells: 68, hostCells: 36, sentRows: 8, receivedRows: 6 })
  })

  it('agrees with the plans of the ranks', () => {
    const options = fc.record({
      cp_size: fc.integer({ min: 1, max: 4 }),
      chunk_size: fc.integer({ min: 1, max: 2 }),
      uneven_shard: fc.boolean(),
      degree: fc.integer({ min: 0, max: 3 }),
    })
    fc.assert(
      fc.property(anyMask, options, (mask, { cp_size, chunk_size, uneven_shard, degree }) => {
        const overlap_config = new OverlapConfig({ degree, min_chunk_size: 3 })
        const simulation = simulate(mask, {
          ...heads,
          cp_size,
          chunk_size,
          dispatch_config: new DispatchConfig({ uneven_shard, alg: new MinHeapDispatchAlg() }),
          overlap_config,
          bytes_per_element: 4,
        })
        const { ranks, cells } = simulation
        const plan = new DistAttnSolver({ ...heads, overlap_config }).solve({
          ...mask,
          dispatch_meta_q: simulation,
        })
        for (const rank of ranks) {
          const { calc_meta, comm_meta } = plan.solveRank(rank.rank)
          expect(rank.shard_seqlen).toBe(calc_meta.seqlen_q_shard)
          expect(rank.hostCells).toBe(calc_meta.local_attn_arg.total_area)
          expect(rank.cells).toBe(calc_meta.total_area)
          expect(rank.stages.map(stage => stage.cells)).toEqual(
            calc_meta.remote_attn_args_list.map(arg => arg.total_area),
          )
          expect(
            rank.stages.map(({ sentBytes: sent, receivedBytes: received }) => ({ sent, received })),
          ).toEqual(comm_meta.kv_bytes_per_stage(4))
        }
        const sumOf = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0)
        expect(sumOf(ranks.map(rank => rank.cells))).toBe(cells)
        expect(sumOf(ranks.map(rank => rank.sentRows))).toBe(simulation.receivedRows)
        expect(simulation.receivedRows).toBeGreaterThanOrEqual(simulation.leastReceivedRows)
        expect(simulation.imbalance).toBeGreaterThanOrEqual(1)
        expect(JSON.parse(JSON.stringify(simulation))).toEqual(simulation)
      }),
      { numRuns: 150 },
    )
  })

  it('pads to whole chunks on every rank, unless shards may be uneven', () => {
    const options: SimulateOptions = { ...heads, cp_size: 3, chunk_size: 4, dispatch_config: minHeap }
    const even = simulate(causal(50), options)
    expect([even.total_seqlen, even.pad_size]).toEqual([60, 10])
    expect(even.ranks.map(rank => rank.shard_seqlen)).toEqual([20, 20, 20])
    expect(even.cells).toBe((50 * 51) / 2)
    const dispatch_config = new DispatchConfig({ uneven_shard: true, alg: new MinHeapDispatchAlg() })
    const uneven = simulate(causal(50), { ...options, dispatch_config })
    expect([uneven.total_seqlen, uneven.pad_size]).toEqual([50, 0])
  })

  it('takes the chunk size of the dispatch config', () => {
    const dispatch_config = new DispatchConfig({ chunk_size: 4, alg: new MinHeapDispatchAlg() })
    expect(simulate(causal(32), { ...heads, cp_size: 2, dispatch_config }).chunk_size).toBe(4)
    const both = { ...heads, cp_size: 2, chunk_size: 8, dispatch_config }
    expect(simulate(causal(32), both).chunk_size).toBe(8)
  })

  it('simulates a thousand ranks', () => {
    const total = 2 ** 20
    const simulation = simulate(causal(total), {
      ...heads,
      cp_size: 1024,
      chunk_size: 128,
      dispatch_config: minHeap,
      overlap_config: new OverlapConfig({ degree: 2 }),
    })
    expect(simulation.cells).toBe((total * (total + 1)) / 2)
    expect(simulation.imbalance).toBe(1)
    // Every rank has a chunk of the last 1024, and its keys are all that the mask has up to there.
    expect(Math.min(...simulation.ranks.map(rank => rank.receivedRows))).toBeGreaterThan(total / 2)
  })

  it('refuses what it cannot simulate', () => {
    const options: SimulateOptions = { ...heads, cp_size: 2, chunk_size: 2 }
    const run =
      (mask: unknown, change = {}) =>
      () =>
        simulate(mask as MaskSlices, { ...options, ...change } as SimulateOptions)
    expect(run(undefined)).toThrow(/^mask: /)
    expect(run({ ...causal(16), q_ranges: 3 })).toThrow(/^q_ranges: /)
    expect(run({ ...causal(16), q_ranges: [] })).toThrow(ShapeError)
    expect(run({ ...causal(16), total_seqlen_q: 15, total_seqlen_k: 15 })).toThrow(InvalidRangeError)
    expect(run({ ...causal(16), total_seqlen_q: 17, total_seqlen_k: 18 })).toThrow(ShapeError)
    expect(run({ ...causal(16), total_seqlen_q: 1.5 })).toThrow(/^total_seqlen_q: /)
    expect(run(causal(16), { cp_size: 0 })).toThrow(/^cp_size: /)
    expect(run(causal(16), { cp_size: 'two' })).toThrow(/^cp_size: /)
    expect(run(causal(16), { chunk_size: undefined })).toThrow(/^chunk_size: /)
    expect(run(causal(16), { chunk_size: Number.NaN })).toThrow(/^chunk_size: /)
    expect(run(causal(16), { num_heads_q: 3 })).toThrow(/^num_heads_q: /)
    expect(run(causal(16), { bytes_per_element: 0 })).toThrow(/^bytes_per_element: /)
    expect(run(causal(16), { dispatch_config: {} })).toThrow(/^dispatch_config: /)
    expect(run(causal(16), { overlap_config: {} })).toThrow(/^overlap_config: /)
    expect(() => simulate(causal(16), undefined as never)).toThrow(ArgumentError)
  })
})

/** All ways to give chunks to ranks, `counts[r]` to rank r. */
function spreads(numChunks: number, counts: readonly number[]): number[][][] {
  const left = [...counts]
  const lists = counts.map((): number[] => [])
  const found: number[][][] = []
  const place = (chunk: number): void => {
    if (chunk === numChunks) found.push(structuredClone(lists))
    counts.forEach((_, rank) => {
      if (left[rank] === 0) return
      left[rank]!--
      lists[rank]!.push(chunk)
      place(chunk + 1)
      lists[rank]!.pop()
      left[rank]!++
    })
  }
  place(0)
  return found
}

describe('leastReceivedRows', () => {
  it('is never above what a spread of the chunks receives', () => {
    const counts = fc.constantFrom([1, 1, 1], [2, 2], [3, 3], [2, 2, 2], [1, 4], [1, 2, 2])
    fc.assert(
      fc.property(anyMask, counts, (mask, counts) => {
        const numChunks = counts.reduce((sum, count) => sum + count, 0)
        const total_seqlen = mask.total_seqlen_q
        const chunk_size = Math.ceil(total_seqlen / numChunks)
        fc.pre(Math.ceil(total_seqlen / chunk_size) === numChunks)
        const solver = new DistAttnSolver(heads)
        for (const partitions of spreads(numChunks, counts)) {
          const spread = { total_seqlen, chunk_size, partitions }
          const plan = solver.solve({ ...mask, dispatch_meta_q: spread })
          const { starts, ends } = plan.remoteKeys
          const rows = starts.reduce((sum, start, i) => sum + ends[i]! - start, 0)
          expect(leastReceivedRows(plan.bands, spread)).toBeLessThanOrEqual(rows)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('is met by the spread in order on a causal mask', () => {
    const spread = {
      total_seqlen: 16,
      chunk_size: 2,
      partitions: [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
      ],
    }
    const { bands } = simulate(causal(16), { ...heads, cp_size: 2, chunk_size: 2 })
    expect(leastReceivedRows(bands, spread)).toBe(8)
  })
})

describe('format_simulation', () => {
  const options: SimulateOptions = { ...heads, cp_size: 2, chunk_size: 2, dispatch_config: minHeap }

  it('lists the ranks', () => {
    expect(format_simulation(simulate(causal(16), options))).toBe(
      [
        'tokens    16, in chunks of 2',
        'ranks     2, 1 remote stage',
        'cells     136, ideal 68 a rank, largest over mean 1.000',
        'received  14 rows, 896 B; any spread of the chunks needs 8 or more',
        '',
        'rank  tokens  cells  of ideal    TFLOP  sent rows   sent  received rows  received',
        '   0       8     68     1.000  8.70e-9          6  384 B              8     512 B',
        '   1       8     68     1.000  8.70e-9          8  512 B              6     384 B',
        '',
      ].join('\n'),
    )
  })

  it('shows padding, stages, and the first of many ranks', () => {
    const overlap_config = new OverlapConfig({ degree: 2, min_chunk_size: 1 })
    const simulation = simulate(causal(30), { ...options, cp_size: 4, overlap_config })
    const lines = format_simulation(simulation, { maxRanks: 3 }).split('\n')
    expect(lines[0]).toBe('tokens    32, 2 of them padding, in chunks of 2')
    expect(lines[5]).toMatch(/by stage$/)
    expect(lines[6]).toMatch(/\d+ \+ \d+$/)
    expect(lines[9]).toBe('… and 1 more rank')
  })

  it('refuses what is not a simulation', () => {
    expect(() => format_simulation(undefined as never)).toThrow(/^simulation: /)
    expect(() => format_simulation(simulate(causal(16), options), { maxRanks: 0 })).toThrow(/^maxRanks: /)
  })
})
