import type { Band } from '@magi-attention/common'
import type { BandIncidence } from './band-incidence.js'
import { compactBands } from './join-bands.js'
import type { RangeTable } from './range-table.js'
import type { Sharding } from './sharding.js'

/** Pieces of the key sequence, put one behind the other. */
export interface KeyBuffer {
  /** First key of each piece, global, ascending. */
  readonly starts: Float64Array
  /** One past the last key of each piece. */
  readonly ends: Float64Array
  /** Where each piece begins in the buffer. */
  readonly locals: Float64Array
}

/** The keys that a rank holds itself. */
export function hostBuffer(keys: Sharding, rank: number): KeyBuffer {
  const runs = keys.runsOf(rank)
  return {
    starts: Float64Array.from(runs, run => keys.runStarts[run]!),
    ends: Float64Array.from(runs, run => keys.runEnds[run]!),
    locals: Float64Array.from(runs, run => keys.runLocals[run]!),
  }
}

/** The receive buffer for one row of a table: ascending global order. */
export function receiveBuffer(table: RangeTable, row: number): KeyBuffer {
  const from = table.offsets[row]!
  const to = table.offsets[row + 1]!
  const starts = table.starts.subarray(from, to)
  const ends = table.ends.subarray(from, to)
  const locals = new Float64Array(to - from)
  for (let i = 1; i < locals.length; i++) locals[i] = locals[i - 1]! + ends[i - 1]! - starts[i - 1]!
  return { starts, ends, locals }
}

/**
 * The cells of one rank whose keys are in a buffer, as bands in local positions: queries in the rank's query
 * buffer, keys in `buffer`. Each cell is in exactly one band. A piece of a band that moves by `dq` and `dk`
 * stays a band, with its diagonals moved by `dk - dq`; pieces that line up again are joined.
 */
export function localBands(
  incidence: BandIncidence,
  queries: Sharding,
  rank: number,
  buffer: KeyBuffer,
): Band[] {
  const bands: Band[] = []
  incidence.forEachBand(rank, (band, run) => {
    const dq = queries.runLocals[run]! - queries.runStarts[run]!
    for (let i = firstEndingAfter(buffer.ends, band.k0); i < buffer.starts.length; i++) {
      const k0 = Math.max(band.k0, buffer.starts[i]!)
      const k1 = Math.min(band.k1, buffer.ends[i]!)
      if (k0 >= k1) break
      bands.push(moveColumns(band, k0, k1, dq, buffer.locals[i]! - buffer.starts[i]!))
    }
  })
  return compactBands(bands)
}

/** The keys `[k0, k1)` of a tight band, which are not empty, tight again and moved. */
function moveColumns(band: Band, k0: number, k1: number, dq: number, dk: number): Band {
  const q0 = Math.max(band.q0, k0 - band.hi)
  const q1 = Math.min(band.q1, k1 - band.lo)
  return {
    q0: q0 + dq,
    q1: q1 + dq,
    k0: k0 + dk,
    k1: k1 + dk,
    lo: Math.max(band.lo, k0 - (q1 - 1)) + dk - dq,
    hi: Math.min(band.hi, k1 - 1 - q0) + dk - dq,
  }
}

function firstEndingAfter(ends: Float64Array, key: number): number {
  let low = 0
  let high = ends.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (ends[middle]! > key) high = middle
    else low = middle + 1
  }
  return low
}
