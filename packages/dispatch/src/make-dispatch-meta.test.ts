import {
  ArgumentError,
  AttnMaskType,
  IndexError,
  InvalidRangeError,
  ShapeError,
  sliceToBand,
  UnsupportedError,
} from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BTPDispatchAlg } from './algorithms/backtrack-pruning.js'
import { BatchToppHeapDispatchAlg } from './algorithms/batch-topp-heap.js'
import { BSDispatchAlg } from './algorithms/binary-search.js'
import { DispatchAlg, type DispatchSolution } from './algorithms/dispatch-alg.js'
import { DPDispatchAlg } from './algorithms/dynamic-programming.js'
import { LBDispatchAlg } from './algorithms/lower-bound.js'
import { MinHeapDispatchAlg } from './algorithms/min-heap.js'
import { RandomSelectDispatchAlg } from './algorithms/random-select.js'
import { SequentialDispatchAlg } from './algorithms/sequential.js'
import { SortedSequentialSelectAlg } from './algorithms/sorted-sequential-select.js'
import { ToppHeapDispatchAlg } from './algorithms/topp-heap.js'
import { chunkAreas } from './chunks/chunk-areas.js'
import { DispatchConfig } from './dispatch-config.js'
import type { DispatchMeta } from './dispatch-meta.js'
import { type DispatchMetaOptions, make_dispatch_meta_from_qk_ranges } from './make-dispatch-meta.js'

const { FULL, CAUSAL } = AttnMaskType

function causal(total: number, changes: Partial<DispatchMetaOptions> = {}): DispatchMetaOptions {
  return {
    q_ranges: [[0, total]],
    k_ranges: [[0, total]],
    attn_mask_type: CAUSAL,
    total_seqlen_q: total,
    total_seqlen_k: total,
    chunk_size: 4,
    cp_size: 4,
    cp_rank: 0,
    dispatch_config: new DispatchConfig({ alg: new MinHeapDispatchAlg() }),
    ...changes,
  }
}

const withAlg = (alg: DispatchAlg) => ({ dispatch_config: new DispatchConfig({ alg }) })

/** What two views of one plan have in common. */
function planOf({ cp_rank: _rank, shard_seqlen: _seqlen, ...plan }: DispatchMeta) {
  return plan
}

describe('make_dispatch_meta_from_qk_ranges', () => {
  it('balances a causal mask', () => {
    const [meta_q, meta_k] = make_dispatch_meta_from_qk_ranges(causal(64))
    expect(meta_q.partitions).toEqual([
      [0, 7, 8, 15],
      [1, 6, 9, 14],
      [2, 5, 10, 13],
      [3, 4, 11, 12],
    ])
    expect(meta_q.partitions_perm_idxs).toEqual([0, 7, 8, 15, 1, 6, 9, 14, 2, 5, 10, 13, 3, 4, 11, 12])
    expect(meta_q.partitions_unperm_idxs).toEqual([0, 4, 8, 12, 13, 9, 5, 1, 2, 6, 10, 14, 15, 11, 7, 3])
    expect(meta_q).toMatchObject({
      attn_role: 'query',
      attn_type: 'self_attn',
      total_seqlen: 64,
      shard_seqlen: 16,
      max_valid_ids: 64,
      chunk_size: 4,
      num_chunks: 16,
      cp_rank: 0,
      cp_size: 4,
      chunk_actual_sizes: undefined,
      split_sizes: undefined,
    })
    expect(String(meta_q.host_ranges_per_rank[1])).toBe('[[4, 8), [24, 28), [36, 40), [56, 60)]')
    expect(meta_k.attn_role).toBe('key')
    expect({ ...planOf(meta_k), attn_role: 'query' }).toEqual(planOf(meta_q))
  })

  it('spreads the 16 tokens of a small causal mask over 2 ranks', () => {
    const [meta] = make_dispatch_meta_from_qk_ranges(causal(16, { chunk_size: 2, cp_size: 2, cp_rank: 1 }))
    expect(meta.partitions).toEqual([
      [0, 3, 4, 7],
      [1, 2, 5, 6],
    ])
    expect([...meta.position_ids]).toEqual([2, 3, 4, 5, 10, 11, 12, 13])
    expect([...meta.forRank(0).position_ids]).toEqual([0, 1, 6, 7, 8, 9, 14, 15])
  })

  it('makes uneven shards', () => {
    const options = causal(50, { chunk_size: 8, uneven_shard: true })
    const [meta] = make_dispatch_meta_from_qk_ranges(options)
    expect(meta).toMatchObject({
      partitions: [[5], [0, 4], [3, 6], [1, 2]],
      chunk_actual_sizes: [8, 8, 8, 8, 8, 8, 2],
      split_sizes: [8, 16, 10, 16],
      num_chunks: 7,
      shard_seqlen: 8,
    })
    expect([0, 1, 2, 3].map(rank => meta.forRank(rank).shard_seqlen)).toEqual([8, 16, 10, 16])
    expect(String(meta.hostRanges(2))).toBe('[[24, 32), [48, 50)]')
    expect([...meta.forRank(2).position_ids]).toEqual([24, 25, 26, 27, 28, 29, 30, 31, 48, 49])
    const dispatch_config = new DispatchConfig({ alg: new MinHeapDispatchAlg(), uneven_shard: true })
    const [same] = make_dispatch_meta_from_qk_ranges(causal(50, { chunk_size: 8, dispatch_config }))
    expect(planOf(same)).toEqual(planOf(meta))
  })

  it('gives everything to a single rank', () => {
    const [meta] = make_dispatch_meta_from_qk_ranges(causal(10, { cp_size: 1 }))
    expect(meta).toMatchObject({
      partitions: [[0]],
      chunk_size: 10,
      num_chunks: 1,
      shard_seqlen: 10,
      split_sizes: undefined,
    })
    expect([...meta.position_ids]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    const [uneven] = make_dispatch_meta_from_qk_ranges(
      causal(10, { cp_size: 1, uneven_shard: true, ...withAlg(new ToppHeapDispatchAlg()) }),
    )
    expect(uneven).toMatchObject({ chunk_actual_sizes: [10], split_sizes: [10], shard_seqlen: 10 })
  })

  it('gives padding the last valid position', () => {
    const [meta] = make_dispatch_meta_from_qk_ranges(
      causal(16, {
        q_ranges: [
          [0, 13],
          [13, 16],
        ],
        k_ranges: [
          [0, 13],
          [0, 0],
        ],
        attn_mask_type: [CAUSAL, FULL],
        chunk_size: 2,
        cp_size: 2,
      }),
    )
    expect(meta.max_valid_ids).toBe(13)
    const ids = [0, 1].flatMap(rank => [...meta.forRank(rank).position_ids])
    expect(ids.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12, 12])
  })

  it('counts cells of overlapping slices once', () => {
    const once = make_dispatch_meta_from_qk_ranges(causal(64))[0]
    const q_ranges = [
      [0, 64],
      [0, 64],
      [32, 64],
    ] as const
    const k_ranges = [
      [0, 64],
      [0, 64],
      [0, 8],
    ] as const
    const options = causal(64, { q_ranges, k_ranges, attn_mask_type: [CAUSAL, CAUSAL, FULL] })
    expect(make_dispatch_meta_from_qk_ranges(options)[0].partitions).toEqual(once.partitions)
  })

  it('works with every algorithm that returns partitions', () => {
    for (const alg of [
      new MinHeapDispatchAlg(),
      new ToppHeapDispatchAlg({ top_p: 0.5 }),
      new BatchToppHeapDispatchAlg({ top_p: 0.5, num_of_select_chunk: 2 }),
      new BTPDispatchAlg(),
      new RandomSelectDispatchAlg({ seed: 1 }),
      new SequentialDispatchAlg(),
      new SortedSequentialSelectAlg({ allocation_ratio: 0.5 }),
    ]) {
      const q_ranges = [
        [12, 32],
        [0, 12],
      ] as const
      const options = causal(32, { q_ranges, k_ranges: q_ranges, ...withAlg(alg) })
      const [meta] = make_dispatch_meta_from_qk_ranges(options)
      expect(meta.partitions.map(chunks => chunks.length)).toEqual([2, 2, 2, 2])
      expect(meta.partitions_perm_idxs.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      for (const chunks of meta.partitions) expect(chunks).toEqual(chunks.toSorted((a, b) => a - b))
    }
  })

  it('cannot be changed', () => {
    const [meta] = make_dispatch_meta_from_qk_ranges(causal(64, { chunk_size: 4 }))
    expect(() => Object.assign(meta, { cp_rank: 1 })).toThrow(TypeError)
    expect(() => (meta.partitions as number[][])[0]!.push(1)).toThrow(TypeError)
    expect(() => (meta.partitions_perm_idxs as number[]).sort()).toThrow(TypeError)
    expect(meta.host_ranges_per_rank[0]).not.toBe(meta.host_ranges_per_rank[0])
    expect(meta.position_ids).toBe(meta.position_ids)
  })

  it('is quick and small for thousands of ranks', () => {
    const total = 2 ** 24
    const options = causal(total, { chunk_size: 2048, cp_size: 1024, cp_rank: 1023 })
    const [meta] = make_dispatch_meta_from_qk_ranges(options)
    const areas = chunkAreas({
      bands: [sliceToBand([0, total], [0, total], CAUSAL)],
      total_seqlen: total,
      chunk_size: 2048,
    })
    const loads = meta.partitions.map(chunks => chunks.reduce((sum, chunk) => sum + areas[chunk]!, 0))
    expect(Math.max(...loads) / (((total / 2) * (total + 1)) / 1024)).toBeLessThan(1.001)
    expect(meta.position_ids.length).toBe(total / 1024)
    expect(meta.position_ids.at(-1)).toBe(meta.partitions[1023]!.at(-1)! * 2048 + 2047)
  })

  it('takes every token to one rank and back, for every mask and shard', () => {
    const segment = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(...Object.values(AttnMaskType)))
    fc.assert(
      fc.property(
        fc.array(segment, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.boolean(),
        fc.constantFrom(new MinHeapDispatchAlg(), new SequentialDispatchAlg()),
        (segments, chunk_size, cp_size, uneven_shard, alg) => {
          const ends = segments.map(([seqlen]) => seqlen)
          for (let i = 1; i < ends.length; i++) ends[i]! += ends[i - 1]!
          const used = ends.at(-1)!
          const unit = chunk_size * cp_size
          const total = uneven_shard ? Math.max(used, unit) : Math.ceil(used / unit) * unit
          const q_ranges = ends.map((end, i) => [i === 0 ? 0 : ends[i - 1]!, end] as const)
          const options = {
            q_ranges,
            k_ranges: q_ranges,
            attn_mask_type: segments.map(([, type]) => type),
            total_seqlen_q: total,
            total_seqlen_k: total,
            chunk_size,
            cp_size,
            uneven_shard,
            dispatch_config: new DispatchConfig({ alg }),
          }
          let views: DispatchMeta[]
          try {
            views = Array.from(
              { length: cp_size },
              (_, cp_rank) => make_dispatch_meta_from_qk_ranges({ ...options, cp_rank })[0],
            )
          } catch (error) {
            // Padding has no work: with uneven shards a rank may be left without a chunk, which is refused.
            expect(error).toBeInstanceOf(ArgumentError)
            expect(String(error)).toMatch(/gives rank \d+ none/)
            expect(uneven_shard).toBe(true)
            return
          }
          const [first] = views
          for (const view of views) expect(planOf(view)).toEqual(planOf(first!))

          // Dispatch rows that hold their own index, put the ranks' rows together again, and undo the order.
          const dispatched = views.flatMap(view =>
            [...view.hostRanges(view.cp_rank)].map(({ start, end }) =>
              Array.from({ length: end - start }, (_, i) => start + i),
            ),
          )
          const undispatched = first!.partitions_unperm_idxs.flatMap(i => dispatched[i]!)
          expect(undispatched).toEqual(Array.from({ length: total }, (_, i) => i))
          for (const view of views) {
            const rows = [...view.hostRanges(view.cp_rank)].flatMap(({ start, end }) =>
              Array.from({ length: end - start }, (_, i) => Math.min(start + i, used - 1)),
            )
            expect([...view.position_ids]).toEqual(rows)
            expect(view.shard_seqlen).toBe(rows.length)
            expect(view.split_sizes?.[view.cp_rank] ?? total / cp_size).toBe(rows.length)
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  it('does not change what it is given', () => {
    const q_ranges = Object.freeze([Object.freeze([8, 16] as const), Object.freeze([0, 8] as const)])
    const types = Object.freeze([CAUSAL, FULL])
    const options = Object.freeze(causal(16, { q_ranges, k_ranges: q_ranges, attn_mask_type: types }))
    expect(make_dispatch_meta_from_qk_ranges(options)[0].num_chunks).toBe(4)
  })
})

describe('make_dispatch_meta_from_qk_ranges refuses', () => {
  const make =
    (changes: object, total = 64) =>
    () =>
      make_dispatch_meta_from_qk_ranges({ ...causal(total), ...changes } as DispatchMetaOptions)

  it('sizes that do not divide', () => {
    expect(make({}, 60)).toThrow(ArgumentError)
    expect(make({}, 60)).toThrow(/total_seqlen_q: expected a multiple of 16.*Pad by 4 tokens/)
    expect(make({ chunk_size: 32 })).toThrow(/chunk_size: expected at most 16.*fewer ranks/)
    expect(make({ total_seqlen_k: 32 })).toThrow(ShapeError)
    for (const [name, value] of Object.entries({ chunk_size: 0, cp_size: 1.5, total_seqlen_q: Number.NaN })) {
      expect(make({ [name]: value })).toThrow(new RegExp(`${name}: expected an integer >= 1`))
    }
  })

  it('a rank that does not exist', () => {
    expect(make({ cp_rank: 4 })).toThrow(IndexError)
    expect(make({ cp_rank: -1 })).toThrow(/cp_rank/)
    const [meta] = make({})()
    expect(() => meta.forRank(4)).toThrow(IndexError)
    expect(() => meta.hostRanges(4)).toThrow(/cp_rank/)
  })

  it('masks that are malformed, outside of the sequence, or empty', () => {
    expect(make({ k_ranges: [] })).toThrow(ShapeError)
    expect(make({ q_ranges: [[4, 2]] })).toThrow(InvalidRangeError)
    expect(make({ q_ranges: [[0, 65]] })).toThrow(/q_ranges\[0\].*\[0, 64\)/)
    expect(make({ k_ranges: [[-1, 64]] })).toThrow(/k_ranges\[0\]/)
    expect(make({ attn_mask_type: 'triangle' })).toThrow(/attn_mask_type/)
    expect(make({ k_ranges: [[3, 3]] })).toThrow(/at least one pair/)
    expect(make({ q_ranges: [], k_ranges: [] })).toThrow(/no slices/)
  })

  it('algorithms that do not fit', () => {
    expect(make(withAlg(new LBDispatchAlg()))).toThrow(/returns partitions/)
    expect(make({ ...withAlg(new DPDispatchAlg()), cp_size: 1 })).toThrow(/returns partitions/)
    expect(make({ ...withAlg(new ToppHeapDispatchAlg()), uneven_shard: true })).toThrow(/uneven shards/)
    expect(make({ dispatch_config: {} })).toThrow(/a DispatchConfig/)
    expect(make({ uneven_shard: 'yes' })).toThrow(/uneven_shard: expected a boolean/)
    // The first rows are far cheaper than the last ones.
    const uneven = { ...withAlg(new BSDispatchAlg()), chunk_size: 4, cp_size: 2 }
    expect(make(uneven, 40)).toThrow(/equally many chunks/)
    expect(make({ ...uneven, uneven_shard: true }, 40)).not.toThrow()
  })

  it('partitions that leave a rank or a chunk out', () => {
    // 5 chunks, 2 for each rank at most, none with any work: the fourth rank gets none.
    const options = { q_ranges: [[0, 1]], k_ranges: [[0, 1]], chunk_size: 4, uneven_shard: true }
    expect(make(options, 20)).toThrow(/gives rank 3 none/)
    class Forgetful extends DispatchAlg {
      readonly is_optimal = false
      readonly is_partitions_returned = true
      readonly is_equal_num_workloads = false
      readonly is_affinity_considered = false
      solve(): DispatchSolution {
        return { minimax_workload: 0, bucket_partitions: [[0], [1], [2], [2]] }
      }
      toString() {
        return 'Forgetful()'
      }
    }
    expect(make(withAlg(new Forgetful()), 16)).toThrow(/each of 4 chunks.*Forgetful/)
  })

  it('anything but self-attention over one sequence', () => {
    expect(make({ is_q_permutable: false })).toThrow(ArgumentError)
    expect(make({ is_k_permutable: false })).toThrow(/both true or both false/)
    expect(make({ is_q_permutable: false, is_k_permutable: false })).toThrow(UnsupportedError)
    expect(make({ is_same_source: false })).toThrow(UnsupportedError)
    expect(make({ is_same_source: 1 })).toThrow(/is_same_source: expected a boolean/)
  })
})
