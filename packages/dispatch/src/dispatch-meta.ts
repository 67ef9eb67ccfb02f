import { AttnRange, AttnRanges, IndexError, UnsupportedError } from '@magi-attention/common'
import { requireInteger } from './validate.js'

/** What a sequence is to attention. */
export const AttnRole = { QUERY: 'query', KEY: 'key' } as const
export type AttnRole = (typeof AttnRole)[keyof typeof AttnRole]

/** How queries and keys belong together. Self-attention: both are projections of one sequence. */
export const AttnType = { SELF_ATTN: 'self_attn' } as const
export type AttnType = (typeof AttnType)[keyof typeof AttnType]

/** What all ranks agree on. */
export interface DispatchPlan {
  readonly attn_role: AttnRole
  readonly attn_type: AttnType
  /** Number of tokens of the whole sequence, with padding. */
  readonly total_seqlen: number
  /** One past the last query that attends to a key range: tokens from here on are padding. */
  readonly max_valid_ids: number
  /** Tokens in a chunk. */
  readonly chunk_size: number
  readonly num_chunks: number
  /** Number of ranks. */
  readonly cp_size: number
  /** The chunks of each rank, ascending, `[cp_size]` lists. */
  readonly partitions: readonly (readonly number[])[]
  /** The partitions one behind the other: chunk ids in the order in which ranks hold them, `[num_chunks]`. */
  readonly partitions_perm_idxs: readonly number[]
  /** Inverse of that: where each chunk is in the order of ranks, `[num_chunks]`. */
  readonly partitions_unperm_idxs: readonly number[]
  /** For uneven shards only: tokens of each chunk, `[num_chunks]`. The last may be short. */
  readonly chunk_actual_sizes: readonly number[] | undefined
  /** For uneven shards only: tokens of each rank, `[cp_size]`. */
  readonly split_sizes: readonly number[] | undefined
}

/**
 * Which tokens are on which rank. Plain frozen data, made by `make_dispatch_meta_from_qk_ranges`; the rank
 * decides on `shard_seqlen` and `position_ids` alone.
 */
export class DispatchMeta implements DispatchPlan {
  readonly attn_role: AttnRole
  readonly attn_type: AttnType
  readonly total_seqlen: number
  readonly max_valid_ids: number
  readonly chunk_size: number
  readonly num_chunks: number
  /** The rank whose view this is. */
  readonly cp_rank: number
  readonly cp_size: number
  readonly partitions: readonly (readonly number[])[]
  readonly partitions_perm_idxs: readonly number[]
  readonly partitions_unperm_idxs: readonly number[]
  readonly chunk_actual_sizes: readonly number[] | undefined
  readonly split_sizes: readonly number[] | undefined
  /** Number of tokens on this rank. */
  readonly shard_seqlen: number
  #positionIds: Int32Array | undefined

  /** @internal @throws `IndexError` unless `cp_rank` is one of the ranks */
  constructor(plan: DispatchPlan, cp_rank: number) {
    this.attn_role = plan.attn_role
    this.attn_type = plan.attn_type
    this.total_seqlen = plan.total_seqlen
    this.max_valid_ids = plan.max_valid_ids
    this.chunk_size = plan.chunk_size
    this.num_chunks = plan.num_chunks
    this.cp_rank = requireRank(cp_rank, plan.cp_size, 'cp_rank')
    this.cp_size = plan.cp_size
    this.partitions = plan.partitions
    this.partitions_perm_idxs = plan.partitions_perm_idxs
    this.partitions_unperm_idxs = plan.partitions_unperm_idxs
    this.chunk_actual_sizes = plan.chunk_actual_sizes
    this.split_sizes = plan.split_sizes
    this.shard_seqlen = this.split_sizes?.[cp_rank] ?? this.partitions[cp_rank]!.length * this.chunk_size
    Object.freeze(this)
  }

  /** The same plan, seen from another rank; shares all lists. @throws `IndexError` for no such rank */
  forRank(cp_rank: number): DispatchMeta {
    return new DispatchMeta(this, cp_rank)
  }

  /**
   * The tokens of a rank, one range for each chunk, not merged.
   * @throws `IndexError` for no such rank
   */
  hostRanges(cp_rank: number): AttnRanges {
    const chunks = this.partitions[requireRank(cp_rank, this.cp_size, 'cp_rank')]!
    return AttnRanges.from_ranges(chunks.map(chunk => this.chunkRange(chunk)))
  }

  /** `hostRanges` of every rank, `[cp_size]`. Made anew at each access. */
  get host_ranges_per_rank(): AttnRanges[] {
    return this.partitions.map((_, rank) => this.hostRanges(rank))
  }

  /**
   * Position in the whole sequence of each token of this rank, `[shard_seqlen]`. Padding gets the last valid
   * position, so tables of positions need not reach further. Made at the first access, then shared.
   * @throws `UnsupportedError` for positions that int32 cannot hold
   */
  get position_ids(): Int32Array {
    this.#positionIds ??= this.makePositionIds()
    return this.#positionIds
  }

  private makePositionIds(): Int32Array {
    const last = this.max_valid_ids - 1
    if (last > 0x7fffffff) {
      throw new UnsupportedError({
        argument: 'total_seqlen',
        expected: 'position ids that fit into int32',
        actual: this.total_seqlen,
      })
    }
    const ids = new Int32Array(this.shard_seqlen)
    let at = 0
    for (const chunk of this.partitions[this.cp_rank]!) {
      const { start, end } = this.chunkRange(chunk)
      for (let id = start; id < end; id++) ids[at++] = Math.min(id, last)
    }
    return ids
  }

  private chunkRange(chunk: number): AttnRange {
    const start = chunk * this.chunk_size
    return new AttnRange(start, Math.min(start + this.chunk_size, this.total_seqlen))
  }
}

/** @throws `IndexError` unless `rank` is an integer in `[0, cp_size)` */
export function requireRank(rank: number, cp_size: number, argument: string): number {
  if (requireInteger(rank, argument) < cp_size) return rank + 0
  throw new IndexError({ argument, expected: `a rank below cp_size ${cp_size}`, actual: rank })
}
