import { ArgumentError, perm_idxs2unperm_idxs, type TypedSlice } from '@magi-attention/common'
import { checkAlgorithm, checkSizes, checkSource, requirePartitions } from './check-dispatch.js'
import { chunkActualSizes } from './chunks/chunk-sizes.js'
import { parseSlices, type SlicesOptions, sortSlices } from './chunks/mask-slices.js'
import { DispatchConfig } from './dispatch-config.js'
import { AttnRole, AttnType, DispatchMeta, type DispatchPlan, requireRank } from './dispatch-meta.js'
import { DispatchSolver } from './dispatch-solver.js'
import { makeDispatchData } from './make-dispatch-data.js'
import { requireInteger, requireOptions } from './validate.js'

export interface DispatchMetaOptions extends SlicesOptions {
  readonly total_seqlen_q: number
  /** Must be equal to `total_seqlen_q`. */
  readonly total_seqlen_k: number
  readonly chunk_size: number
  /** Number of ranks. */
  readonly cp_size: number
  /** The rank whose view of the plan is wanted. The plan is the same for all. */
  readonly cp_rank: number
  /** Default: `new DispatchConfig()`. Its `chunk_size` is not looked at here. */
  readonly dispatch_config?: DispatchConfig | undefined
  /** Whether queries and keys are projections of one sequence. Default true, all that is supported. */
  readonly is_same_source?: boolean | undefined
  /** Whether queries may be spread in any order. Default true, all that is supported. */
  readonly is_q_permutable?: boolean | undefined
  /** Whether keys may be spread in any order. Default true, all that is supported. */
  readonly is_k_permutable?: boolean | undefined
  /** Lets ranks have different numbers of tokens. Default: as in `dispatch_config`. */
  readonly uneven_shard?: boolean | undefined
}

/**
 * Cuts a sequence into chunks and gives them to ranks, so that all ranks have about the same number of cells
 * of the mask to compute. The mask is the union of its slices: a cell that two of them cover counts once.
 *
 * A pure function, cheap also for thousands of ranks: time and memory grow with chunks and slices, not with
 * tokens.
 *
 * @returns the plan for the queries and the one for the keys, which differ in `attn_role` alone
 * @throws `ShapeError` for lists of different length
 * @throws `InvalidRangeError` for a range outside of the sequence, naming `q_ranges[i]`, `k_ranges[i]`
 * @throws `IndexError` unless `cp_rank` is one of the ranks
 * @throws `UnsupportedError` for anything but self-attention over one permutable sequence
 * @throws `ArgumentError` for sizes that do not divide, an algorithm that does not fit, a mask without
 *   cells, or a rank that would get no tokens
 */
export function make_dispatch_meta_from_qk_ranges(
  options: DispatchMetaOptions,
): [meta_q: DispatchMeta, meta_k: DispatchMeta] {
  requireOptions(options, 'options', 'one object { q_ranges, k_ranges, attn_mask_type, … }')
  const { dispatch_config = new DispatchConfig(), total_seqlen_q, total_seqlen_k } = options
  if (!(dispatch_config instanceof DispatchConfig)) {
    const expected = 'a DispatchConfig'
    throw new ArgumentError({ argument: 'dispatch_config', expected, actual: dispatch_config })
  }
  const { uneven_shard = dispatch_config.uneven_shard } = options
  if (typeof uneven_shard !== 'boolean') {
    throw new ArgumentError({ argument: 'uneven_shard', expected: 'a boolean', actual: uneven_shard })
  }
  const cp_size = requireInteger(options.cp_size, 'cp_size', 1)
  const cp_rank = requireRank(options.cp_rank, cp_size, 'cp_rank')
  checkSource(options)
  checkAlgorithm(dispatch_config.alg, uneven_shard && cp_size > 1)
  checkSizes({ total_seqlen_q, total_seqlen_k, chunk_size: options.chunk_size, cp_size, uneven_shard })

  const slices = sortSlices(parseSlices(options, total_seqlen_q, total_seqlen_k))
  const max_valid_ids = endOfValidQueries(slices)
  // One rank has everything: there is nothing to cut.
  const chunk_size = cp_size === 1 ? total_seqlen_q : options.chunk_size
  const num_chunks = Math.ceil(total_seqlen_q / chunk_size)

  let partitions: readonly (readonly number[])[] = [[0]]
  if (cp_size > 1) {
    const { alg } = dispatch_config
    const dispatch_data = makeDispatchData({ slices, total_seqlen: total_seqlen_q, chunk_size, cp_size, alg })
    const { bucket_partitions } = new DispatchSolver(alg).solve({ dispatch_data })
    partitions = requirePartitions({ alg, bucket_partitions, cp_size, num_chunks, uneven_shard })
  }
  const perm = partitions.flat()
  const sizes = uneven_shard ? chunkActualSizes(total_seqlen_q, chunk_size) : undefined
  const splits = sizes && partitions.map(chunks => chunks.reduce((sum, chunk) => sum + sizes[chunk]!, 0))
  const plan: Omit<DispatchPlan, 'attn_role'> = {
    attn_type: AttnType.SELF_ATTN,
    total_seqlen: total_seqlen_q,
    max_valid_ids,
    chunk_size,
    num_chunks,
    cp_size,
    partitions: Object.freeze(partitions.map(chunks => Object.freeze(chunks))),
    partitions_perm_idxs: Object.freeze(perm),
    partitions_unperm_idxs: Object.freeze(perm_idxs2unperm_idxs(perm)),
    chunk_actual_sizes: sizes && Object.freeze(sizes),
    split_sizes: splits && Object.freeze(splits),
  }
  return [
    new DispatchMeta({ ...plan, attn_role: AttnRole.QUERY }, cp_rank),
    new DispatchMeta({ ...plan, attn_role: AttnRole.KEY }, cp_rank),
  ]
}

/** One past the last query of the slices that have queries and keys. */
function endOfValidQueries(slices: readonly TypedSlice[]): number {
  let end = 0
  for (const { q_range, k_range } of slices) {
    if (!q_range.is_empty() && !k_range.is_empty()) end = Math.max(end, q_range.end)
  }
  if (end > 0) return end
  throw new ArgumentError({
    argument: 'q_ranges, k_ranges',
    expected: 'at least one pair of ranges that are both not empty',
    actual: slices.length === 0 ? 'no slices' : 'slices without queries or without keys',
  })
}
