import type { AttnRanges, Band } from '@magi-attention/common'
import { ArgumentError } from '@magi-attention/common'
import { GroupCastPlan } from '../comm-plan/group-cast-plan.js'
import { AttnArg } from '../meta/attn-arg.js'
import { CalcMeta } from '../meta/calc-meta.js'
import { CommMeta } from '../meta/comm-meta.js'
import { GroupCollectiveArg } from '../meta/group-collective-arg.js'
import type { OverlapConfig } from '../overlap/overlap-config.js'
import { BandIncidence } from './band-incidence.js'
import { disjointBands } from './disjoint-bands.js'
import { hostBuffer, type KeyBuffer, localBands, receiveBuffer } from './key-buffer.js'
import { type RangeTable, rowRanges, rowSeqlen } from './range-table.js'
import { remoteKeys } from './remote-keys.js'
import type { Sharding } from './sharding.js'
import { planStages, type StagePlan } from './stage-plan.js'

/** Sizes of the heads that the plan is for. */
export interface HeadSizes {
  readonly num_heads_q: number
  readonly num_heads_kv: number
  readonly head_dim: number
}

export interface DistAttnPlanOptions extends HeadSizes {
  /** The mask is the union of these bands: a cell in several of them is computed once. */
  readonly bands: Iterable<Band>
  /** Where the queries are. */
  readonly queries: Sharding
  /** Where the keys are. */
  readonly keys: Sharding
  readonly overlap_config: OverlapConfig
  /** Whether sums take a fixed order. */
  readonly deterministic: boolean
}

/** What one rank receives, sends and computes. */
export interface RankPlan {
  readonly rank: number
  /** Queries of the rank: global, merged. */
  readonly host_q_ranges: AttnRanges
  /** Keys of the rank: global, merged. */
  readonly host_k_ranges: AttnRanges
  /** Keys that the rank needs and does not have: global, merged. */
  readonly remote_k_ranges: AttnRanges
  /** The same by stage: the receive buffer of a stage holds them in this order. */
  readonly remote_k_ranges_per_stage: readonly AttnRanges[]
  readonly calc_meta: CalcMeta
  readonly comm_meta: CommMeta
}

/**
 * Distributed attention over all ranks: what depends on the whole mask, computed once, and from it the part of
 * any rank. A pure function of its options, so every rank finds the same.
 *
 * Queries stay where they are; keys travel, and only those that some cell needs. Every cell of the mask is
 * computed once: it belongs to the rank of its query, and there to the host part or to the one stage that
 * brings its key. Bands are made disjoint first, so that areas and costs are plain sums.
 *
 * The shared part takes O(m log m) for `m` pairs of a query run and a band that meets it, a number between
 * the number of runs (at most that of chunks) and runs × bands; with a dynamic degree or an algorithm
 * that looks at costs, the cells of every rank are counted, see `planStages`. The part of one rank takes time
 * in proportion to its own pairs, plus what `GroupCastPlan` says.
 */
export class DistAttnPlan {
  readonly cp_size: number
  readonly queries: Sharding
  readonly keys: Sharding
  readonly overlap_config: OverlapConfig
  /** The mask: tight bands without a common cell, global positions. */
  readonly bands: readonly Band[]
  /** For each rank the keys that it receives: a row for each rank, global positions. */
  readonly remoteKeys: RangeTable
  readonly stagePlan: StagePlan
  private readonly heads: HeadSizes
  private readonly deterministic: boolean
  private readonly incidence: BandIncidence
  private readonly casts: readonly GroupCastPlan[]

  /** @throws `ArgumentError` unless queries and keys are on equally many ranks */
  constructor(options: DistAttnPlanOptions) {
    const { queries, keys, overlap_config } = options
    if (queries.cp_size !== keys.cp_size) {
      throw new ArgumentError({
        argument: 'dispatch_meta_k',
        expected: `${queries.cp_size} ranks, as many as dispatch_meta_q has`,
        actual: keys.cp_size,
      })
    }
    this.cp_size = queries.cp_size
    this.queries = queries
    this.keys = keys
    this.overlap_config = overlap_config
    this.deterministic = options.deterministic
    this.heads = options
    this.bands = disjointBands(options.bands)
    this.incidence = new BandIncidence(this.bands, queries)
    this.remoteKeys = remoteKeys(this.incidence, keys)
    this.stagePlan =
      this.cp_size === 1
        ? { num_stages: 0, stages: [], solutions: [] }
        : planStages(this.remoteKeys, this.incidence, overlap_config)
    this.casts = this.stagePlan.stages.map(wanted => new GroupCastPlan(keys, wanted))
  }

  /** Number of remote stages, the same on every rank; 0 on a single rank. */
  get overlap_degree(): number {
    return this.stagePlan.num_stages
  }

  /** Number of pairs of a query run and a band with cells in it: what the time of a solve grows with. */
  get numRunBandPairs(): number {
    return this.incidence.numPairs
  }

  /** @throws `IndexError` for a rank that does not exist */
  solveRank(rank: number): RankPlan {
    return {
      rank,
      host_q_ranges: this.queries.rangesOf(rank),
      host_k_ranges: this.keys.rangesOf(rank),
      remote_k_ranges: rowRanges(this.remoteKeys, rank),
      remote_k_ranges_per_stage: this.stagePlan.stages.map(table => rowRanges(table, rank)),
      calc_meta: this.makeCalcMeta(rank),
      comm_meta: this.makeCommMeta(rank),
    }
  }

  /**
   * The work of a rank, in the positions of its buffers.
   * @throws `IndexError` for a rank that does not exist
   */
  makeCalcMeta(rank: number): CalcMeta {
    const { stages } = this.stagePlan
    return new CalcMeta({
      local_attn_arg: AttnArg.from_bands(this.bandsOn(rank, hostBuffer(this.keys, rank))),
      remote_attn_args_list: stages.map(table =>
        AttnArg.from_bands(this.bandsOn(rank, receiveBuffer(table, rank))),
      ),
      no_overlap: this.overlap_config.no_overlap,
      headdim: this.heads.head_dim,
      seqlen_q_shard: this.queries.seqlenOf(rank),
      seqlen_k_local: this.keys.seqlenOf(rank),
      seqlen_k_per_remote_stage: stages.map(table => rowSeqlen(table, rank)),
    })
  }

  /** What a rank sends and receives. @throws `IndexError` for a rank that does not exist */
  makeCommMeta(rank: number): CommMeta {
    const { num_heads_q, num_heads_kv, head_dim } = this.heads
    return new CommMeta({
      num_remote_kv_tokens_per_stage: this.stagePlan.stages.map(table => rowSeqlen(table, rank)),
      kv_group_collective_args_list: this.casts.map(
        cast =>
          new GroupCollectiveArg({
            ...cast.send(rank),
            ...cast.receive(rank),
            rank,
            world_size: this.cp_size,
            deterministic: this.deterministic,
          }),
      ),
      num_heads_q,
      num_heads_kv,
      head_dim,
    })
  }

  private bandsOn(rank: number, buffer: KeyBuffer): Band[] {
    return localBands(this.incidence, this.queries, rank, buffer)
  }
}
