import {
  ArgumentError,
  type AttnChunk,
  AttnMaskType,
  AttnRanges,
  find_doubly_covered,
  InvalidRangeError,
  make_attn_mask_from_ffa_args,
  ShapeError,
  sliceToBand,
} from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MinHeapDispatchAlg } from '../algorithms/min-heap.js'
import { DispatchConfig } from '../dispatch-config.js'
import { make_dispatch_meta_from_qk_ranges } from '../make-dispatch-meta.js'
import { chunkAreas } from './chunk-areas.js'
import { make_bucket_per_rank_from_qk_ranges, make_global_bucket_from_qk_ranges } from './global-bucket.js'

const { FULL, CAUSAL, INV_CAUSAL, BI_CAUSAL } = AttnMaskType
const texts = (chunk: AttnChunk | undefined) => chunk?.q_slices.map(slice => `${slice} = ${slice.area}`)

/** One slice, cut into chunks. */
function cut(
  q: readonly [number, number],
  k: readonly [number, number],
  type: AttnMaskType,
  num_chunks: number,
  size: number,
) {
  const { q_chunks } = make_global_bucket_from_qk_ranges({
    q_ranges: [q],
    k_ranges: [k],
    attn_mask_type: type,
    num_chunks,
    chunk_size: size,
  })
  return q_chunks.map(texts)
}

describe('make_global_bucket_from_qk_ranges', () => {
  it('trims rows without keys', () => {
    const { q_chunks } = make_global_bucket_from_qk_ranges({
      q_ranges: [
        [0, 1],
        [1, 10],
      ],
      k_ranges: [
        [0, 10],
        [0, 1],
      ],
      attn_mask_type: CAUSAL,
      num_chunks: 1,
      chunk_size: 10,
    })
    expect(q_chunks.map(texts)).toEqual([['[0, 1) x [0, 10) causal = 10', '[9, 10) x [0, 1) causal = 1']])
    expect(q_chunks[0]!.q_slices.map(slice => slice.slice_id)).toEqual([0, 1])
    expect(q_chunks[0]!.sample_ids).toEqual([0, 1])
  })

  it('cuts each type so that it stays what it is', () => {
    expect(cut([1, 7], [2, 9], FULL, 2, 4)).toEqual([
      ['[1, 4) x [2, 9) full = 21'],
      ['[4, 7) x [2, 9) full = 21'],
    ])
    expect(cut([1, 7], [2, 9], CAUSAL, 2, 4)).toEqual([
      ['[1, 4) x [2, 6) causal = 9'],
      ['[4, 7) x [2, 9) causal = 18'],
    ])
    expect(cut([1, 7], [2, 9], INV_CAUSAL, 2, 4)).toEqual([
      ['[1, 4) x [2, 9) inv_causal = 18'],
      ['[4, 7) x [5, 9) inv_causal = 9'],
    ])
    expect(cut([1, 7], [2, 9], BI_CAUSAL, 2, 4)).toEqual([
      ['[1, 4) x [2, 6) bi_causal = 6'],
      ['[4, 7) x [5, 9) bi_causal = 6'],
    ])
  })

  it('drops what has no cells', () => {
    expect(cut([0, 8], [0, 2], CAUSAL, 2, 4)).toEqual([[], ['[6, 8) x [0, 2) causal = 3']])
    expect(cut([0, 8], [0, 2], INV_CAUSAL, 2, 4)).toEqual([['[0, 2) x [0, 2) inv_causal = 3'], []])
    expect(cut([0, 8], [0, 7], BI_CAUSAL, 2, 4)).toEqual([[], []])
    expect(cut([0, 8], [3, 3], FULL, 2, 4)).toEqual([[], []])
    expect(cut([4, 4], [0, 7], FULL, 2, 4)).toEqual([[], []])
  })

  it('sorts slices by query, and tells where they came from', () => {
    const options = {
      q_ranges: [
        [4, 8],
        [0, 8],
        [0, 4],
      ] as const,
      k_ranges: [
        [0, 1],
        [1, 2],
        [2, 3],
      ] as const,
      attn_mask_type: FULL,
      num_chunks: 2,
      chunk_size: 4,
    }
    const sorted = make_global_bucket_from_qk_ranges(options)
    expect(sorted.q_chunks.map(chunk => chunk.sample_ids)).toEqual([
      [0, 1],
      [1, 2],
    ])
    expect(String(sorted.q_chunks[0]!.k_ranges)).toBe('[[2, 3), [1, 2)]')
    const unsorted = make_global_bucket_from_qk_ranges({ ...options, sort: false })
    expect(unsorted.q_chunks.map(chunk => chunk.sample_ids)).toEqual([
      [1, 2],
      [0, 1],
    ])
  })

  it('counts the area of slices that overlap in each of them', () => {
    const { q_chunks, area } = make_global_bucket_from_qk_ranges({
      q_ranges: [
        [0, 4],
        [0, 4],
      ],
      k_ranges: [
        [0, 4],
        [0, 4],
      ],
      attn_mask_type: [FULL, CAUSAL],
      num_chunks: 1,
      chunk_size: 4,
    })
    expect(area).toBe(26)
    expect(q_chunks).toHaveLength(1)
  })

  it('allows a short last chunk', () => {
    const { areas } = make_global_bucket_from_qk_ranges({
      q_ranges: [[0, 50]],
      k_ranges: [[0, 50]],
      attn_mask_type: CAUSAL,
      num_chunks: 7,
      chunk_size: 8,
      chunk_actual_sizes: [8, 8, 8, 8, 8, 8, 2],
    })
    expect(areas).toEqual([36, 100, 164, 228, 292, 356, 99])
  })

  const slice = fc
    .tuple(
      fc.nat(24),
      fc.nat(24),
      fc.nat(24),
      fc.nat(24),
      fc.constantFrom(FULL, CAUSAL, INV_CAUSAL, BI_CAUSAL),
    )
    .map(([a, b, c, d, type]) => ({
      q: [Math.min(a, b), Math.max(a, b)] as const,
      k: [Math.min(c, d), Math.max(c, d)] as const,
      type,
    }))

  it('keeps every cell in its chunk, and has as many rows as keys at most where a diagonal is', () => {
    fc.assert(
      fc.property(
        fc.array(slice, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 24 }),
        (slices, size) => {
          const num_chunks = Math.ceil(24 / size)
          const total = num_chunks * size
          const { q_chunks } = make_global_bucket_from_qk_ranges({
            q_ranges: slices.map(({ q }) => q),
            k_ranges: slices.map(({ k }) => k),
            attn_mask_type: slices.map(({ type }) => type),
            num_chunks,
            chunk_size: size,
          })
          const parts = q_chunks.flatMap((chunk, c) =>
            chunk.q_slices.map(part => {
              expect(part.q_range.start).toBeGreaterThanOrEqual(c * size)
              expect(part.q_range.end).toBeLessThanOrEqual((c + 1) * size)
              expect(part.area).toBeGreaterThan(0)
              if (part.mask_type !== FULL)
                expect(part.q_range.seqlen).toBeLessThanOrEqual(part.k_range.seqlen)
              return part
            }),
          )
          // One slice of the mask at a time: where several overlap, dense masks cannot tell them apart.
          for (const [sample, { q, k, type }] of slices
            .toSorted((a, b) => a.q[0] - b.q[0] || a.q[1] - b.q[1])
            .entries()) {
            const mine = q_chunks.flatMap(chunk =>
              chunk.q_slices.filter((_, i) => chunk.sample_ids[i] === sample),
            )
            const dense = (q_ranges: AttnRanges, k_ranges: AttnRanges, types: AttnMaskType[]) =>
              make_attn_mask_from_ffa_args(q_ranges, k_ranges, types, total, 24)
            expect(
              dense(
                AttnRanges.from_ranges(mine.map(part => part.q_range)),
                AttnRanges.from_ranges(mine.map(part => part.k_range)),
                mine.map(part => part.mask_type),
              ),
            ).toEqual(dense(AttnRanges.from_ranges([q]), AttnRanges.from_ranges([k]), [type]))
          }
          expect(parts.length).toBe(q_chunks.reduce((sum, chunk) => sum + chunk.sample_ids.length, 0))
        },
      ),
    )
  })

  it('has the areas of chunkAreas when no cell is covered twice, and more otherwise', () => {
    fc.assert(
      fc.property(
        fc.array(slice, { maxLength: 5 }),
        fc.integer({ min: 1, max: 24 }),
        (slices, chunk_size) => {
          const num_chunks = Math.ceil(24 / chunk_size)
          const { areas } = make_global_bucket_from_qk_ranges({
            q_ranges: slices.map(({ q }) => q),
            k_ranges: slices.map(({ k }) => k),
            attn_mask_type: slices.map(({ type }) => type),
            num_chunks,
            chunk_size,
          })
          const bands = slices.map(({ q, k, type }) => sliceToBand(q, k, type))
          const union = [...chunkAreas({ bands, total_seqlen: 24, chunk_size })]
          if (find_doubly_covered(bands).length === 0) expect(areas).toEqual(union)
          else {
            expect(areas.every((area, i) => area >= union[i]!)).toBe(true)
            expect(areas).not.toEqual(union)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('refuses what cannot be cut', () => {
    const options = {
      q_ranges: [[0, 8]],
      k_ranges: [[0, 8]],
      attn_mask_type: FULL,
      num_chunks: 2,
      chunk_size: 4,
    } as const
    const make = (changes: object) => () => make_global_bucket_from_qk_ranges({ ...options, ...changes })
    expect(make({ num_chunks: 1 })).toThrow(InvalidRangeError)
    expect(make({ num_chunks: 1 })).toThrow(/q_ranges\[0\].*\[0, 4\)/)
    expect(make({ k_ranges: [] })).toThrow(ShapeError)
    expect(make({ attn_mask_type: [FULL, FULL] })).toThrow(ShapeError)
    expect(make({ attn_mask_type: 'half' })).toThrow(ArgumentError)
    expect(make({ chunk_actual_sizes: [4] })).toThrow(ShapeError)
    expect(make({ chunk_actual_sizes: [3, 4] })).toThrow(/chunk_actual_sizes\[0\]/)
    expect(make({ chunk_actual_sizes: [4, 5] })).toThrow(/chunk_actual_sizes\[1\]: expected at most/)
    expect(make({ chunk_size: 1.5 })).toThrow(/chunk_size/)
    expect(make({ num_chunks: 0 })).toThrow(/num_chunks/)
  })
})

describe('make_bucket_per_rank_from_qk_ranges', () => {
  it('gives each rank its chunks', () => {
    const mask = { q_ranges: [[0, 16]], k_ranges: [[0, 16]], attn_mask_type: CAUSAL } as const
    const [dispatch_meta] = make_dispatch_meta_from_qk_ranges({
      ...mask,
      total_seqlen_q: 16,
      total_seqlen_k: 16,
      chunk_size: 2,
      cp_size: 2,
      cp_rank: 0,
      dispatch_config: new DispatchConfig({ alg: new MinHeapDispatchAlg() }),
    })
    const buckets = make_bucket_per_rank_from_qk_ranges({ ...mask, dispatch_meta })
    expect(buckets.map(bucket => bucket.cp_rank)).toEqual([0, 1])
    expect(buckets.map(bucket => bucket.q_chunks.map(chunk => chunk.chunk_id))).toEqual(
      dispatch_meta.partitions,
    )
    expect(buckets.map(bucket => bucket.area)).toEqual([68, 68])
  })
})
