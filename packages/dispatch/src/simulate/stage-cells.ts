import { bandArea } from '@magi-attention/common'
import type { BandIncidence } from '../dist-attn-solver/band-incidence.js'
import { firstEndingAfter, type RangeTable } from '../dist-attn-solver/range-table.js'
import type { Sharding } from '../dist-attn-solver/sharding.js'

/** Cells that a rank computes. */
export interface RankCells {
  /** On its own keys. */
  readonly host: number
  /** For each stage, on the keys that it receives then. */
  readonly stages: number[]
}

/**
 * Counts the cells of one rank by their geometry: linear in the pairs of a band in one of its query runs and
 * a range of received keys that it meets.
 */
export function countCells(incidence: BandIncidence, stages: readonly RangeTable[], rank: number): RankCells {
  const cells = stages.map(() => 0)
  let host = 0
  incidence.forEachBand(rank, band => {
    let remote = 0
    stages.forEach((table, stage) => {
      const end = table.offsets[rank + 1]!
      let area = 0
      for (let i = firstEndingAfter(table, rank, band.k0); i < end && table.starts[i]! < band.k1; i++) {
        const k0 = Math.max(band.k0, table.starts[i]!)
        const k1 = Math.min(band.k1, table.ends[i]!)
        area += bandArea({ ...band, k0, k1 })
      }
      cells[stage]! += area
      remote += area
    })
    host += bandArea(band) - remote
  })
  return { host, stages: cells }
}

/**
 * Rows that each rank sends, once for each rank that receives them, `[cp_size]`.
 * @param owner - where the rows are
 * @param received - what each rank receives
 */
export function countSentRows(owner: Sharding, received: RangeTable): Float64Array {
  const sent = new Float64Array(owner.cp_size)
  for (let i = 0; i < received.starts.length; i++) {
    const end = received.ends[i]!
    let position = received.starts[i]!
    for (let run = owner.runAt(position); position < end; run++) {
      const stop = Math.min(end, owner.runEnds[run]!)
      sent[owner.runRanks[run]!]! += stop - position
      position = stop
    }
  }
  return sent
}
