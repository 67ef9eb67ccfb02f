import {
  ArgumentError,
  AttnBucket,
  AttnChunk,
  AttnSlice,
  ShapeError,
  type TypedSlice,
} from '@magi-attention/common'
import type { DispatchMeta } from '../dispatch-meta.js'
import { requireInteger, requireOptions } from '../validate.js'
import { parseSlices, type SlicesOptions, sortSlices } from './mask-slices.js'
import { sliceInRows } from './slice-rows.js'

export interface GlobalBucketOptions extends SlicesOptions {
  readonly num_chunks: number
  readonly chunk_size: number
  /** Number of tokens of each chunk, `[num_chunks]`: the last may be short. Default: `chunk_size` each. */
  readonly chunk_actual_sizes?: readonly number[] | undefined
  /** Whether to sort the slices by query first. Default true. */
  readonly sort?: boolean | undefined
}

/**
 * The chunks of the query sequence with the slices that fall into each, cut to its rows. Rows without a key
 * are left out, and so are slices without a cell; what is left is numbered from 0 in each chunk, and
 * `sample_ids` tell which (sorted) slice of the mask it came from.
 *
 * Slices stay apart here: a cell that two slices cover counts in the area of both. `chunkAreas` counts it
 * once, and needs no memory for the parts.
 *
 * @throws `ShapeError` for lists of different length
 * @throws `InvalidRangeError` for queries outside of the chunks, naming `q_ranges[i]`
 * @throws `ArgumentError` for sizes, ranges or types that cannot be used
 */
export function make_global_bucket_from_qk_ranges(options: GlobalBucketOptions): AttnBucket {
  requireOptions(options, 'options', 'one object { q_ranges, k_ranges, attn_mask_type, … }')
  const { num_chunks, chunk_size, chunk_actual_sizes, sort = true } = options
  requireInteger(num_chunks, 'num_chunks', 1)
  requireInteger(chunk_size, 'chunk_size', 1)
  const total_seqlen = totalSeqlen(num_chunks, chunk_size, chunk_actual_sizes)
  const slices = parseSlices(options, total_seqlen, Number.POSITIVE_INFINITY)
  return globalBucket(sort ? sortSlices(slices) : slices, chunk_size, total_seqlen)
}

export interface BucketPerRankOptions extends SlicesOptions {
  /** Tells which rank has which chunks. */
  readonly dispatch_meta: DispatchMeta
  /** Whether to sort the slices by query first. Default true. */
  readonly sort?: boolean | undefined
}

/**
 * The chunks of each rank with their slices, `[cp_size]`: those of `make_global_bucket_from_qk_ranges`, in
 * the order of the rank's tokens.
 * @throws the same errors
 */
export function make_bucket_per_rank_from_qk_ranges(options: BucketPerRankOptions): AttnBucket[] {
  requireOptions(options, 'options', 'one object { q_ranges, k_ranges, attn_mask_type, dispatch_meta }')
  const { dispatch_meta, sort = true } = options
  const { total_seqlen, chunk_size, partitions } = dispatch_meta
  const slices = parseSlices(options, total_seqlen, Number.POSITIVE_INFINITY)
  const { q_chunks } = globalBucket(sort ? sortSlices(slices) : slices, chunk_size, total_seqlen)
  return partitions.map(
    (chunks, cp_rank) => new AttnBucket({ cp_rank, q_chunks: chunks.map(chunk => q_chunks[chunk]!) }),
  )
}

/** @internal The same for slices that were checked, in the order given. */
export function globalBucket(
  slices: readonly TypedSlice[],
  chunk_size: number,
  total_seqlen: number,
): AttnBucket {
  const num_chunks = Math.ceil(total_seqlen / chunk_size)
  const chunks = Array.from({ length: num_chunks }, (_, chunk_id) => new AttnChunk({ chunk_id }))
  for (const [sample, slice] of slices.entries()) {
    const { start, end } = slice.q_range
    for (let c = Math.floor(start / chunk_size); c * chunk_size < end; c++) {
      const part = sliceInRows(slice, c * chunk_size, (c + 1) * chunk_size)
      if (part === null) continue
      const chunk = chunks[c]!
      chunk.q_slices.push(new AttnSlice({ ...part, slice_id: chunk.q_slices.length }))
      chunk.sample_ids.push(sample)
    }
  }
  return new AttnBucket({ q_chunks: chunks })
}

function totalSeqlen(num_chunks: number, chunk_size: number, sizes: readonly number[] | undefined): number {
  if (sizes === undefined) return num_chunks * chunk_size
  if (sizes.length !== num_chunks) {
    throw new ShapeError({
      argument: 'chunk_actual_sizes',
      expected: `${num_chunks} sizes, one for each chunk`,
      actual: sizes.length,
    })
  }
  for (const [i, size] of sizes.entries()) {
    requireInteger(size, `chunk_actual_sizes[${i}]`, 1)
    const isLast = i === num_chunks - 1
    if (isLast ? size <= chunk_size : size === chunk_size) continue
    throw new ArgumentError({
      argument: `chunk_actual_sizes[${i}]`,
      expected: isLast
        ? `at most chunk_size ${chunk_size}`
        : `chunk_size ${chunk_size}, but for the last chunk`,
      actual: size,
    })
  }
  return (num_chunks - 1) * chunk_size + sizes.at(-1)!
}
