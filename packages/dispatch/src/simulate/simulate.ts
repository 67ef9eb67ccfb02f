import {
  ArgumentError,
  AttnRanges,
  type Band,
  bandArea,
  compute_pad_size,
  type MaskSlices,
} from '@magi-attention/common'
import { parseSlices, slicesToBands } from '../chunks/mask-slices.js'
import { DispatchConfig } from '../dispatch-config.js'
import { BandIncidence } from '../dist-attn-solver/band-incidence.js'
import type { HeadSizes } from '../dist-attn-solver/dist-attn-plan.js'
import { DistAttnSolver } from '../dist-attn-solver/dist-attn-solver.js'
import { rowSeqlen } from '../dist-attn-solver/range-table.js'
import { make_dispatch_meta_from_qk_ranges } from '../make-dispatch-meta.js'
import { OverlapConfig } from '../overlap/overlap-config.js'
import { requireInteger, requireOptions } from '../validate.js'
import { leastReceivedRows } from './least-received-rows.js'
import { countCells, countSentRows } from './stage-cells.js'

export interface SimulateOptions extends HeadSizes {
  /** Number of ranks. */
  readonly cp_size: number
  /** Tokens in a chunk. Default: that of `dispatch_config`; one of the two must tell. */
  readonly chunk_size?: number | undefined
  /** Default: `new DispatchConfig()`. */
  readonly dispatch_config?: DispatchConfig | undefined
  /** Default: one remote stage. */
  readonly overlap_config?: OverlapConfig | undefined
  /** Size of the dtype on the wire. Default 2: bfloat16, float16. */
  readonly bytes_per_element?: number | undefined
}

/** One remote stage of one rank. A row is a key with its value. */
export interface StageSimulation {
  readonly cells: number
  readonly sentRows: number
  readonly receivedRows: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

/** What one rank does in a forward pass. */
export interface RankSimulation {
  readonly rank: number
  /** Tokens on the rank, with padding. */
  readonly shard_seqlen: number
  /** Cells of the mask that it computes. */
  readonly cells: number
  /** Those among them whose keys it has itself. */
  readonly hostCells: number
  /** Floating-point operations: 4 · cells · num_heads_q · head_dim. A backward pass has 2.5 times as many. */
  readonly flops: number
  /** Over all stages; a row that goes to several ranks counts for each. */
  readonly sentRows: number
  /** Over all stages. Exactly the rows that its queries need and that it does not have. */
  readonly receivedRows: number
  readonly sentBytes: number
  readonly receivedBytes: number
  readonly stages: readonly StageSimulation[]
}

/** Distributed attention on paper: plain data, which JSON can hold. */
export interface Simulation extends HeadSizes {
  readonly cp_size: number
  /** With padding. */
  readonly total_seqlen: number
  readonly pad_size: number
  readonly chunk_size: number
  /** The chunks of each rank. */
  readonly partitions: readonly (readonly number[])[]
  /** The mask, as bands without a common cell. */
  readonly bands: readonly Band[]
  /** Number of remote stages. */
  readonly overlap_degree: number
  readonly no_overlap: boolean
  readonly calc_cost_factor: number
  readonly comm_cost_factor: number
  readonly bytes_per_element: number
  /** Cells of the whole mask. */
  readonly cells: number
  /** Work of a rank when all have the same: `cells / cp_size`. */
  readonly idealCells: number
  /** Largest work of a rank over the mean, at least 1. */
  readonly imbalance: number
  /** Rows that all ranks together receive. */
  readonly receivedRows: number
  /**
   * Rows that they would receive at least, however the chunks were spread in equal numbers; balance is not
   * asked for, so it may not be within reach.
   */
  readonly leastReceivedRows: number
  readonly ranks: readonly RankSimulation[]
}

/**
 * What every rank would compute, send and receive in a forward pass, without running any. A backward pass
 * moves the same k and v once more, and as many bytes of dk and dv the other way.
 *
 * The sequence is padded to whole chunks on every rank, unless shards may be uneven. Time and memory grow
 * with chunks, slices and ranks, not with tokens.
 *
 * @param mask - the union of its slices; `total_seqlen_q` and `total_seqlen_k` default to their common end
 * @throws `InvalidRangeError` for ranges that are malformed or leave the sequence
 * @throws `ShapeError` for lists of different lengths, or different totals of queries and keys
 * @throws `ArgumentError` for sizes that are not positive integers or do not fit each other
 */
export function simulate(mask: MaskSlices, options: SimulateOptions): Simulation {
  requireOptions(mask, 'mask', '{ q_ranges, k_ranges, attn_mask_type }')
  requireOptions(options, 'options', '{ cp_size, chunk_size, num_heads_q, num_heads_kv, head_dim, … }')
  const { num_heads_q, num_heads_kv, head_dim } = options
  const { dispatch_config = new DispatchConfig(), overlap_config = new OverlapConfig() } = options
  const bytes_per_element = requireInteger(options.bytes_per_element ?? 2, 'bytes_per_element', 1)
  const solver = new DistAttnSolver({ num_heads_q, num_heads_kv, head_dim, overlap_config })
  const cp_size = requireInteger(options.cp_size, 'cp_size', 1)
  if (!(dispatch_config instanceof DispatchConfig)) {
    const expected = 'a DispatchConfig'
    throw new ArgumentError({ argument: 'dispatch_config', expected, actual: dispatch_config })
  }
  const wanted = requireInteger(options.chunk_size ?? dispatch_config.chunk_size, 'chunk_size', 1)
  const [totalQ, totalK] = totals(mask)
  const isPadded = cp_size > 1 && !dispatch_config.uneven_shard
  const pad_size = isPadded ? compute_pad_size({ total_seqlen_q: totalQ, cp_size, chunk_size: wanted }) : 0
  const { q_ranges, k_ranges, attn_mask_type } = mask
  const slices = { q_ranges, k_ranges, attn_mask_type }
  // Before the padding: a range that leaves the sequence must not hide in it.
  slicesToBands(parseSlices(slices, totalQ, totalK))
  const [dispatch] = make_dispatch_meta_from_qk_ranges({
    ...slices,
    total_seqlen_q: totalQ + pad_size,
    total_seqlen_k: totalK + pad_size,
    chunk_size: wanted,
    cp_size,
    cp_rank: 0,
    dispatch_config,
  })
  const { total_seqlen, chunk_size, partitions } = dispatch
  const plan = solver.solve({ ...slices, dispatch_meta_q: dispatch })

  const rowBytes = 2 * num_heads_kv * head_dim * bytes_per_element
  const incidence = new BandIncidence(plan.bands, plan.queries)
  const tables = plan.stagePlan.stages
  const sentPerStage = tables.map(table => countSentRows(plan.keys, table))
  const ranks = partitions.map((_, rank): RankSimulation => {
    const { host, stages } = countCells(incidence, tables, rank)
    const simulated = stages.map((cells, stage): StageSimulation => {
      const sentRows = sentPerStage[stage]![rank]!
      const receivedRows = rowSeqlen(tables[stage]!, rank)
      return {
        cells,
        sentRows,
        receivedRows,
        sentBytes: sentRows * rowBytes,
        receivedBytes: receivedRows * rowBytes,
      }
    })
    const cells = stages.reduce((sum, area) => sum + area, host)
    return {
      rank,
      shard_seqlen: plan.queries.seqlenOf(rank),
      cells,
      hostCells: host,
      flops: 4 * cells * num_heads_q * head_dim,
      sentRows: sumOf(simulated, 'sentRows'),
      receivedRows: sumOf(simulated, 'receivedRows'),
      sentBytes: sumOf(simulated, 'sentBytes'),
      receivedBytes: sumOf(simulated, 'receivedBytes'),
      stages: simulated,
    }
  })
  const cells = plan.bands.reduce((sum, band) => sum + bandArea(band), 0)
  const idealCells = cells / cp_size
  const most = ranks.reduce((largest, rank) => Math.max(largest, rank.cells), 0)
  return {
    cp_size,
    total_seqlen,
    pad_size,
    chunk_size,
    partitions,
    bands: plan.bands,
    overlap_degree: plan.overlap_degree,
    no_overlap: overlap_config.no_overlap,
    calc_cost_factor: overlap_config.calc_cost_factor,
    comm_cost_factor: overlap_config.comm_cost_factor,
    bytes_per_element,
    num_heads_q,
    num_heads_kv,
    head_dim,
    cells,
    idealCells,
    imbalance: cells === 0 ? 1 : most / idealCells,
    receivedRows: ranks.reduce((sum, rank) => sum + rank.receivedRows, 0),
    leastReceivedRows: leastReceivedRows(plan.bands, { total_seqlen, chunk_size, partitions }),
    ranks,
  }
}

/** Numbers of queries and of keys; what is not given reaches as far as all that is known. */
function totals(mask: MaskSlices): [q: number, k: number] {
  const ends = [mask.q_ranges, mask.k_ranges].map((given, side) => {
    const argument = side === 0 ? 'q_ranges' : 'k_ranges'
    if (typeof (given as Iterable<unknown> | null | undefined)?.[Symbol.iterator] !== 'function') {
      throw new ArgumentError({ argument, expected: 'AttnRanges or a list of ranges', actual: given })
    }
    const ranges = AttnRanges.from_ranges(given, true)
    return ranges.is_empty() ? 0 : ranges.end
  })
  const { total_seqlen_q, total_seqlen_k } = mask
  const end = Math.max(...ends, total_seqlen_q ?? 0, total_seqlen_k ?? 0)
  return [
    requireInteger(total_seqlen_q ?? end, 'total_seqlen_q', 1),
    requireInteger(total_seqlen_k ?? end, 'total_seqlen_k', 1),
  ]
}

function sumOf(stages: readonly StageSimulation[], key: keyof StageSimulation): number {
  return stages.reduce((sum, stage) => sum + stage[key], 0)
}
