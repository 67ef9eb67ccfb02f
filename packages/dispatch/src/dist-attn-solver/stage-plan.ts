import { bandArea } from '@magi-attention/common'
import type { OverlapConfig } from '../overlap/overlap-config.js'
import type { OverlapStageCost } from '../overlap/overlap-cost.js'
import { type OverlapSolution, OverlapSolver } from '../overlap/overlap-solver.js'
import type { BandIncidence } from './band-incidence.js'
import { firstEndingAfter, type RangeTable, RangeTableBuilder, rowSeqlen } from './range-table.js'

/** Which remote keys each rank receives in which stage. */
export interface StagePlan {
  /** Number of remote stages, the same on every rank. */
  readonly num_stages: number
  /** For each stage, what every rank receives: its receive buffer holds this in ascending order. */
  readonly stages: readonly RangeTable[]
  /** For each rank, its remote chunks by stage, before idle stages are added. */
  readonly solutions: readonly OverlapSolution[]
}

/**
 * Cuts the remote keys of every rank into chunks and puts these into stages. A rank's stages depend on its
 * own remote keys only; the number of stages is the greatest that a rank wants, and the others have idle
 * ones at their end.
 *
 * With a given degree and an algorithm that does not look at costs this is linear in the number of remote
 * ranges. Otherwise the cells of every rank are counted chunk by chunk: linear in the pairs of a band in a
 * query run and a remote chunk that it meets, at most `max_num_chunks` for each band plus its ranges.
 */
export function planStages(remote: RangeTable, incidence: BandIncidence, config: OverlapConfig): StagePlan {
  const solver = new OverlapSolver(config.alg)
  const needsCosts = config.degree === null || config.alg.uses_costs
  const num_ranks = remote.offsets.length - 1
  const chunkSizes = new Float64Array(num_ranks)
  const solutions: OverlapSolution[] = []
  for (let rank = 0; rank < num_ranks; rank++) {
    const seqlen = rowSeqlen(remote, rank)
    chunkSizes[rank] = remoteChunkSize(seqlen, config)
    const costs = needsCosts
      ? chunkCosts(remote, incidence, rank, chunkSizes[rank]!, config)
      : new Array<OverlapStageCost>(1 + Math.ceil(seqlen / chunkSizes[rank]!)).fill(noCost)
    solutions.push(
      solver.solve({
        stage_costs: costs,
        overlap_degree: config.degree,
        dynamic_max_degree: config.dynamic_max_degree,
      }),
    )
  }
  const num_stages = solutions.reduce((most, { overlap_degree }) => Math.max(most, overlap_degree), 0)
  return { num_stages, stages: splitByStage(remote, chunkSizes, solutions, num_stages), solutions }
}

const noCost: OverlapStageCost = Object.freeze({ comm_cost: 0, calc_cost: 0 })

/** Tokens in a remote chunk: `min_chunk_size`, or more when that made too many chunks. */
function remoteChunkSize(seqlen: number, { min_chunk_size, max_num_chunks }: OverlapConfig): number {
  const isFew = Math.ceil(seqlen / min_chunk_size) <= max_num_chunks
  return isFew ? min_chunk_size : Math.ceil(seqlen / max_num_chunks)
}

/** Costs of the host and of each remote chunk of one rank. */
function chunkCosts(
  remote: RangeTable,
  incidence: BandIncidence,
  rank: number,
  chunkSize: number,
  config: OverlapConfig,
): OverlapStageCost[] {
  const from = remote.offsets[rank]!
  const to = remote.offsets[rank + 1]!
  /** Number of remote keys before each range. */
  const before = new Float64Array(to - from + 1)
  for (let i = from; i < to; i++) {
    before[i - from + 1] = before[i - from]! + remote.ends[i]! - remote.starts[i]!
  }
  const seqlen = before[to - from]!
  const areas = new Float64Array(Math.ceil(seqlen / chunkSize))
  let hostArea = 0

  incidence.forEachBand(rank, band => {
    let remoteArea = 0
    for (let i = firstEndingAfter(remote, rank, band.k0); i < to && remote.starts[i]! < band.k1; i++) {
      const start = Math.max(band.k0, remote.starts[i]!)
      const end = Math.min(band.k1, remote.ends[i]!)
      const offset = before[i - from]! - remote.starts[i]!
      let done = bandArea({ ...band, k1: start })
      for (let key = start; key < end; ) {
        const chunk = Math.floor((key + offset) / chunkSize)
        key = Math.min(end, (chunk + 1) * chunkSize - offset)
        const area = bandArea({ ...band, k1: key })
        areas[chunk]! += area - done
        remoteArea += area - done
        done = area
      }
    }
    hostArea += bandArea(band) - remoteArea
  })

  const costs: OverlapStageCost[] = [{ comm_cost: 0, calc_cost: config.calc_cost_factor * hostArea }]
  areas.forEach((area, chunk) => {
    const tokens = Math.min(chunkSize, seqlen - chunk * chunkSize)
    costs.push({
      comm_cost: config.comm_cost_factor * tokens,
      calc_cost: config.calc_cost_factor * area,
    })
  })
  return costs
}

function splitByStage(
  remote: RangeTable,
  chunkSizes: Float64Array,
  solutions: readonly OverlapSolution[],
  num_stages: number,
): RangeTable[] {
  const builders = Array.from({ length: num_stages }, () => new RangeTableBuilder())
  solutions.forEach(({ partitions }, rank) => {
    const chunkSize = chunkSizes[rank]!
    const stageOf: number[] = []
    partitions.forEach((places, stage) => {
      for (const place of places) if (place > 0) stageOf[place - 1] = stage
    })
    let before = 0
    for (let i = remote.offsets[rank]!; i < remote.offsets[rank + 1]!; i++) {
      const offset = before - remote.starts[i]!
      const end = remote.ends[i]!
      for (let key = remote.starts[i]!; key < end; ) {
        const chunk = Math.floor((key + offset) / chunkSize)
        const stop = Math.min(end, (chunk + 1) * chunkSize - offset)
        builders[stageOf[chunk]!]!.push(key, stop)
        key = stop
      }
      before += end - remote.starts[i]!
    }
    for (const builder of builders) builder.endRow()
  })
  return builders.map(builder => builder.build())
}
