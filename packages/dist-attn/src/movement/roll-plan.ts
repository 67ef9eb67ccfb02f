import type { Sharding } from '@magi-attention/dispatch'
import type { RowRun } from './token-layout.js'

/** One rank's part in rolling a sequence: the arguments of a group cast, and how what arrives is put in order. */
export interface RollPlan {
  readonly input_split_sizes: readonly number[]
  readonly dst_indices: readonly (readonly number[])[]
  readonly output_split_sizes: readonly number[]
  readonly src_index: readonly number[]
  /** The rolled shard, as rows of what arrives. */
  readonly order: readonly RowRun[]
}

interface Piece {
  readonly source: number
  /** First row in the shard of the source. */
  readonly from: number
  readonly destination: number
  readonly length: number
}

/**
 * Every row of the rolled sequence comes from one place: token `(i - shift) mod total` becomes token `i`.
 * @param shift in `[0, total_seqlen)`
 */
export function planRoll(sharding: Sharding, shift: number, rank: number): RollPlan {
  const sent: Piece[] = []
  for (let destination = 0; destination < sharding.cp_size; destination++) {
    sent.push(...piecesOf(sharding, shift, destination).filter(({ source }) => source === rank))
  }
  sent.sort((a, b) => a.from - b.from)

  const wanted = piecesOf(sharding, shift, rank)
  // What comes from one rank comes in the order in which that rank has it.
  const arrival = wanted
    .map((piece, place) => ({ ...piece, place }))
    .sort((a, b) => a.source - b.source || a.from - b.from)
  const order = new Array<RowRun>(wanted.length)
  let start = 0
  for (const { place, length } of arrival) {
    order[place] = { start, length }
    start += length
  }
  return {
    input_split_sizes: sent.map(({ length }) => length),
    dst_indices: sent.map(({ destination }) => [destination]),
    output_split_sizes: arrival.map(({ length }) => length),
    src_index: arrival.map(({ source }) => source),
    order,
  }
}

/** Where the rows of a rank's rolled shard come from, in its order. */
function piecesOf(sharding: Sharding, shift: number, destination: number): Piece[] {
  const { total_seqlen: total, runStarts, runEnds, runRanks, runLocals } = sharding
  const pieces: Piece[] = []
  for (const run of sharding.runsOf(destination)) {
    for (let token = runStarts[run]!; token < runEnds[run]!; ) {
      const before = (token - shift + total) % total
      const owner = sharding.runAt(before)
      const length = Math.min(runEnds[run]! - token, runEnds[owner]! - before)
      const from = runLocals[owner]! + before - runStarts[owner]!
      pieces.push({ source: runRanks[owner]!, from, destination, length })
      token += length
    }
  }
  return pieces
}
