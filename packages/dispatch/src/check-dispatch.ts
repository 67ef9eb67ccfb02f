import { ArgumentError, ShapeError, UnsupportedError } from '@magi-attention/common'
import type { DispatchAlg } from './algorithms/dispatch-alg.js'
import { requireInteger } from './validate.js'

interface Source {
  readonly is_same_source?: boolean | undefined
  readonly is_q_permutable?: boolean | undefined
  readonly is_k_permutable?: boolean | undefined
}

/** @throws `UnsupportedError` for anything but self-attention over one permutable sequence */
export function checkSource({
  is_same_source = true,
  is_q_permutable = true,
  is_k_permutable = true,
}: Source): void {
  for (const [argument, actual] of Object.entries({ is_same_source, is_q_permutable, is_k_permutable })) {
    if (typeof actual !== 'boolean') throw new ArgumentError({ argument, expected: 'a boolean', actual })
  }
  if (is_same_source && is_q_permutable !== is_k_permutable) {
    throw new ArgumentError({
      argument: 'is_q_permutable, is_k_permutable',
      expected: 'both true or both false, as queries and keys are of one sequence',
      actual: [is_q_permutable, is_k_permutable],
    })
  }
  if (is_same_source && is_q_permutable) return
  throw new UnsupportedError({
    argument: 'is_same_source, is_q_permutable, is_k_permutable',
    expected: 'self-attention over one sequence that may be permuted: all true',
    actual: [is_same_source, is_q_permutable, is_k_permutable],
  })
}

/** @throws `ArgumentError` for an algorithm without partitions, or one that cannot do uneven shards */
export function checkAlgorithm(alg: DispatchAlg, is_uneven: boolean): void {
  if (!alg.is_partitions_returned) {
    throw new ArgumentError({
      argument: 'dispatch_config.alg',
      expected: 'an algorithm that returns partitions',
      actual: alg,
      hint: 'MinHeapDispatchAlg does.',
    })
  }
  if (is_uneven && alg.is_equal_num_workloads) {
    throw new ArgumentError({
      argument: 'dispatch_config.alg',
      expected: 'an algorithm for uneven shards: one that may give ranks different numbers of chunks',
      actual: alg,
      hint: 'MinHeapDispatchAlg, SequentialDispatchAlg and BSDispatchAlg do.',
    })
  }
}

interface Sizes {
  readonly total_seqlen_q: number
  readonly total_seqlen_k: number
  readonly chunk_size: number
  readonly cp_size: number
  readonly uneven_shard: boolean
}

/** @throws `ShapeError` for different totals, `ArgumentError` for sizes that do not divide */
export function checkSizes({
  total_seqlen_q,
  total_seqlen_k,
  chunk_size,
  cp_size,
  uneven_shard,
}: Sizes): void {
  requireInteger(total_seqlen_q, 'total_seqlen_q', 1)
  requireInteger(total_seqlen_k, 'total_seqlen_k', 1)
  requireInteger(chunk_size, 'chunk_size', 1)
  if (total_seqlen_q !== total_seqlen_k) {
    throw new ShapeError({
      argument: 'total_seqlen_k',
      expected: `${total_seqlen_q}, the same as total_seqlen_q, for self-attention`,
      actual: total_seqlen_k,
    })
  }
  if (cp_size === 1) return
  const num_chunks = Math.ceil(total_seqlen_q / chunk_size)
  if (num_chunks < cp_size) {
    throw new ArgumentError({
      argument: 'chunk_size',
      expected: `at most ${Math.floor(total_seqlen_q / cp_size)}, so that all ${cp_size} ranks get a chunk`,
      actual: chunk_size,
      hint: 'Or use fewer ranks.',
    })
  }
  if (uneven_shard) return
  const unit = chunk_size * cp_size
  if (total_seqlen_q % unit === 0) return
  throw new ArgumentError({
    argument: 'total_seqlen_q',
    expected: `a multiple of ${unit}, that is chunk_size ${chunk_size} times cp_size ${cp_size}`,
    actual: total_seqlen_q,
    hint: `Pad by ${unit - (total_seqlen_q % unit)} tokens, or use uneven_shard.`,
  })
}

interface SolvedPartitions {
  readonly alg: DispatchAlg
  readonly bucket_partitions: readonly (readonly number[])[]
  readonly cp_size: number
  readonly num_chunks: number
  readonly uneven_shard: boolean
}

/**
 * The chunks of each rank, ascending.
 * @throws `ArgumentError` unless each chunk is on one rank, each rank has chunks, and all equally many
 *   when shards must be even
 */
export function requirePartitions(solved: SolvedPartitions): number[][] {
  const { alg, bucket_partitions, cp_size, num_chunks, uneven_shard } = solved
  const partitions = bucket_partitions.map(chunks => [...chunks].sort((a, b) => a - b))
  const all = partitions.flat().sort((a, b) => a - b)
  const isPartition =
    partitions.length === cp_size && all.length === num_chunks && all.every((chunk, i) => chunk === i)
  if (!isPartition) {
    throw new ArgumentError({
      argument: 'dispatch_config.alg',
      expected: `an algorithm that gives each of ${num_chunks} chunks to one of ${cp_size} ranks`,
      actual: alg,
    })
  }
  const empty = partitions.findIndex(chunks => chunks.length === 0)
  if (empty >= 0) {
    throw new ArgumentError({
      argument: 'dispatch_config.alg',
      expected: 'an algorithm that gives each rank a chunk',
      actual: `${alg}, which gives rank ${empty} none`,
      hint: 'Use a smaller chunk_size, or MinHeapDispatchAlg.',
    })
  }
  if (!uneven_shard && partitions.some(chunks => chunks.length * cp_size !== num_chunks)) {
    throw new ArgumentError({
      argument: 'dispatch_config.alg',
      expected: 'an algorithm that gives each rank equally many chunks',
      actual: alg,
      hint: 'Allow uneven_shard, or use MinHeapDispatchAlg.',
    })
  }
  return partitions
}
