import { type AttnRanges, type Band, IndexError } from '@magi-attention/common'
import { GroupCastPlan } from '../comm-plan/group-cast-plan.js'
import type { HeadSizes } from '../dist-attn-solver/dist-attn-plan.js'
import { compactBands } from '../dist-attn-solver/join-bands.js'
import { firstEndingAfter, type RangeTable, rowRanges, rowSeqlen } from '../dist-attn-solver/range-table.js'
import type { Sharding } from '../dist-attn-solver/sharding.js'
import { AttnArg } from '../meta/attn-arg.js'
import { CommMeta } from '../meta/comm-meta.js'
import { GroupCollectiveArg } from '../meta/group-collective-arg.js'
import type { Assignment } from './assignment.js'
import type { RowBytesPerPass } from './row-bytes.js'
import { type Rows, unionTable } from './row-unions.js'

/**
 * The two kernel calls of one rank. The first needs nothing from others, so it runs while rows are fetched. The
 * buffers of the second are the rank's own rows followed by those that it fetched; a query may have parts of
 * its row in both.
 */
export interface DynamicCalcMeta {
  /** On the rank's own queries and keys. */
  readonly local_attn_arg: AttnArg
  /** On `[own; fetched]` queries and `[own; fetched]` keys. */
  readonly remote_attn_arg: AttnArg
  readonly headdim: number
  /** Own queries. */
  readonly seqlen_q_local: number
  /** Fetched queries. */
  readonly seqlen_q_remote: number
  /** Own keys. */
  readonly seqlen_k_local: number
  /** Fetched keys. */
  readonly seqlen_k_remote: number
  /** Number of cells that this rank computes. */
  readonly total_area: number
}

/** What one rank receives, sends and computes. */
export interface DynamicRankPlan {
  readonly rank: number
  /** Queries of the rank: global, merged. */
  readonly host_q_ranges: AttnRanges
  /** Keys of the rank: global, merged. */
  readonly host_k_ranges: AttnRanges
  /** Queries that it computes for others: global, merged. Its receive buffer holds them in this order. */
  readonly remote_q_ranges: AttnRanges
  /** Keys that it needs and does not have: global, merged. Its receive buffer holds them in this order. */
  readonly remote_k_ranges: AttnRanges
  readonly calc_meta: DynamicCalcMeta
  /**
   * One stage. The group casts of `kv` and of `qo` bring k and v, and q; backward the latter brings q, out,
   * grad_out and lse. The same plans with the roles swapped return, by group reduce, what was computed: out
   * with lse (`lse`), and backward dq, dk and dv (`sum`).
   */
  readonly comm_meta: CommMeta
}

export interface DynamicAttnPlanOptions extends HeadSizes {
  readonly assignment: Assignment
  readonly rowBytes: RowBytesPerPass
  readonly deterministic: boolean
}

/** Bytes that all ranks together receive, of what is fetched and of what is returned. */
export interface DynamicVolume {
  readonly forward: number
  readonly backward: number
}

/**
 * Attention whose queries and keys both travel: what depends on the whole mask, and from it the part of any
 * rank. Every cell of the mask is computed once, by the rank that its tile was given to.
 */
export class DynamicAttnPlan {
  readonly cp_size: number
  readonly queries: Sharding
  readonly keys: Sharding
  /** For each rank the queries that it fetches: global positions. */
  readonly remoteQueries: RangeTable
  /** For each rank the keys that it fetches: global positions. */
  readonly remoteKeys: RangeTable
  /** Cells that each rank computes, `[cp_size]`. */
  readonly areas: readonly number[]
  /** The parts of the mask that each rank computes: global positions. */
  private readonly bands: readonly Band[][]
  private readonly qCast: GroupCastPlan
  private readonly kCast: GroupCastPlan
  private readonly options: DynamicAttnPlanOptions

  /** @internal */
  constructor(options: DynamicAttnPlanOptions) {
    const { grid, ranks, areas } = options.assignment
    this.options = options
    this.cp_size = grid.cp_size
    this.queries = grid.queries.sharding
    this.keys = grid.keys.sharding
    this.areas = [...areas]
    const bands: Band[][] = this.areas.map(() => [])
    const qRows: Rows[][] = this.areas.map(() => [])
    const kRows: Rows[][] = this.areas.map(() => [])
    grid.tiles.forEach(({ qAtom, kAtom, parts }, tile) => {
      const rank = ranks[tile]!
      for (const part of parts) {
        bands[rank]!.push(part)
        if (grid.queries.owners[qAtom] !== rank) qRows[rank]!.push([part.q0, part.q1])
        if (grid.keys.owners[kAtom] !== rank) kRows[rank]!.push([part.k0, part.k1])
      }
    })
    this.bands = bands
    this.remoteQueries = unionTable(qRows)
    this.remoteKeys = unionTable(kRows)
    this.qCast = new GroupCastPlan(this.queries, this.remoteQueries)
    this.kCast = new GroupCastPlan(this.keys, this.remoteKeys)
  }

  /** Largest work of a rank over the mean, at least 1. */
  get imbalance(): number {
    const total = this.areas.reduce((sum, area) => sum + area, 0)
    const most = this.areas.reduce((largest, area) => Math.max(largest, area), 0)
    return total === 0 ? 1 : (most * this.cp_size) / total
  }

  /** What a forward and a backward pass move, in bytes. */
  get volume(): DynamicVolume {
    const { forward, backward } = this.options.rowBytes
    const [q, k] = [this.remoteQueries, this.remoteKeys].map(({ starts, ends }) =>
      starts.reduce((sum, start, i) => sum + ends[i]! - start, 0),
    ) as [number, number]
    return { forward: q * forward.q + k * forward.k, backward: q * backward.q + k * backward.k }
  }

  /** @throws `IndexError` for a rank that does not exist */
  solveRank(rank: number): DynamicRankPlan {
    return {
      rank,
      host_q_ranges: this.queries.rangesOf(rank),
      host_k_ranges: this.keys.rangesOf(rank),
      remote_q_ranges: rowRanges(this.remoteQueries, rank),
      remote_k_ranges: rowRanges(this.remoteKeys, rank),
      calc_meta: this.makeCalcMeta(rank),
      comm_meta: this.makeCommMeta(rank),
    }
  }

  /** @throws `IndexError` for a rank that does not exist */
  bandsOf(rank: number): readonly Band[] {
    const bands = this.bands[rank]
    if (bands !== undefined) return bands
    throw new IndexError({ argument: 'rank', expected: `a rank below ${this.cp_size}`, actual: rank })
  }

  private makeCalcMeta(rank: number): DynamicCalcMeta {
    const queryPlace = placesOn(this.queries, this.remoteQueries, rank)
    const keyPlace = placesOn(this.keys, this.remoteKeys, rank)
    const local: Band[] = []
    const remote: Band[] = []
    for (const band of this.bandsOf(rank)) {
      const q = queryPlace(band.q0)
      const k = keyPlace(band.k0)
      const list = q.isOwn && k.isOwn ? local : remote
      list.push(moveBand(band, q.position - band.q0, k.position - band.k0))
    }
    const local_attn_arg = AttnArg.from_bands(joinParts(local))
    const remote_attn_arg = AttnArg.from_bands(joinParts(remote))
    return {
      local_attn_arg,
      remote_attn_arg,
      headdim: this.options.head_dim,
      seqlen_q_local: this.queries.seqlenOf(rank),
      seqlen_q_remote: rowSeqlen(this.remoteQueries, rank),
      seqlen_k_local: this.keys.seqlenOf(rank),
      seqlen_k_remote: rowSeqlen(this.remoteKeys, rank),
      total_area: local_attn_arg.total_area + remote_attn_arg.total_area,
    }
  }

  private makeCommMeta(rank: number): CommMeta {
    const { num_heads_q, num_heads_kv, head_dim, deterministic } = this.options
    const argOf = (cast: GroupCastPlan) =>
      new GroupCollectiveArg({
        ...cast.send(rank),
        ...cast.receive(rank),
        rank,
        world_size: this.cp_size,
        deterministic,
      })
    return new CommMeta({
      num_remote_kv_tokens_per_stage: [rowSeqlen(this.remoteKeys, rank)],
      kv_group_collective_args_list: [argOf(this.kCast)],
      num_remote_qo_tokens_per_stage: [rowSeqlen(this.remoteQueries, rank)],
      qo_group_collective_args_list: [argOf(this.qCast)],
      num_heads_q,
      num_heads_kv,
      head_dim,
    })
  }
}

interface Place {
  /** In the buffer `[own; fetched]`. */
  readonly position: number
  readonly isOwn: boolean
}

/** Where the rows of a rank are in its buffer. */
function placesOn(sharding: Sharding, fetched: RangeTable, rank: number): (row: number) => Place {
  const offset = fetched.offsets[rank]!
  const begins: number[] = []
  let end = sharding.seqlenOf(rank)
  for (let i = offset; i < fetched.offsets[rank + 1]!; i++) {
    begins.push(end)
    end += fetched.ends[i]! - fetched.starts[i]!
  }
  return row => {
    const run = sharding.runAt(row)
    if (sharding.runRanks[run] === rank) {
      return { position: sharding.runLocals[run]! + row - sharding.runStarts[run]!, isOwn: true }
    }
    const range = firstEndingAfter(fetched, rank, row)
    return { position: begins[range - offset]! + row - fetched.starts[range]!, isOwn: false }
  }
}

function moveBand({ q0, q1, k0, k1, lo, hi }: Band, dq: number, dk: number): Band {
  return { q0: q0 + dq, q1: q1 + dq, k0: k0 + dk, k1: k1 + dk, lo: lo + dk - dq, hi: hi + dk - dq }
}

/** Fewer bands with the same cells: neighbours by key are joined, then neighbours by query. */
function joinParts(bands: readonly Band[]): Band[] {
  return compactBands(bands.toSorted((a, b) => a.q0 - b.q0 || a.q1 - b.q1 || a.k0 - b.k0))
}
