import { type Band, find_doubly_covered, InvalidRangeError, tightenBand } from '@magi-attention/common'
import { requireInteger } from '../validate.js'
import { cellsInRows } from './band-rows.js'
import { cellsInUnionRows } from './union-rows.js'

export interface ChunkAreasOptions {
  /** The mask is the union of these bands: cells that several of them cover count once. */
  readonly bands: Iterable<Band>
  /** Number of query tokens. */
  readonly total_seqlen: number
  readonly chunk_size: number
}

/**
 * Number of attended cells in the rows of each chunk of the query sequence, `[ceil(total_seqlen /
 * chunk_size)]`, exact up to 2^53.
 *
 * Takes O(n log n) for `n` bands, plus constant time for each pair of a chunk and a band in it. Only where
 * bands cover cells twice, their edges are swept from crossing to crossing.
 *
 * @throws `ArgumentError` for sizes or bounds that are not integers (`lo` and `hi` may be infinite)
 * @throws `InvalidRangeError` for rows outside of `[0, total_seqlen)`, naming `bands[i]`
 */
export function chunkAreas({ bands, total_seqlen, chunk_size }: ChunkAreasOptions): Float64Array {
  requireInteger(total_seqlen, 'total_seqlen')
  requireInteger(chunk_size, 'chunk_size', 1)
  const tight: Band[] = []
  let index = 0
  for (const band of bands) {
    const tightBand = tightenBand(band)
    if (tightBand !== null) {
      requireRows(tightBand, total_seqlen, `bands[${index}]`)
      tight.push(tightBand)
    }
    index++
  }
  tight.sort((a, b) => a.q0 - b.q0 || a.q1 - b.q1)

  const areas = new Float64Array(Math.ceil(total_seqlen / chunk_size))
  const shared = sharedRows(tight)
  const addRows = (start: number, end: number, cellsIn: (from: number, to: number) => number): void => {
    for (let row = start; row < end; ) {
      const chunk = Math.floor(row / chunk_size)
      const stop = Math.min(end, (chunk + 1) * chunk_size)
      areas[chunk]! += cellsIn(row, stop)
      row = stop
    }
  }
  for (const band of tight) {
    for (const [start, end] of rowsOutside(band, shared)) {
      addRows(start, end, (from, to) => cellsInRows(band, from, to))
    }
  }
  for (const { start, end, active } of strips(tight, shared)) {
    addRows(start, end, (from, to) => cellsInUnionRows(active, from, to))
  }
  return areas
}

type Rows = readonly [start: number, end: number]

/** Merged rows outside of which no cell is covered twice. */
function sharedRows(ascending: readonly Band[]): Rows[] {
  // The usual case: no two bands have rows in common.
  if (ascending.every((band, i) => i === 0 || ascending[i - 1]!.q1 <= band.q0)) return []
  const suspects = new Set<number>()
  for (const { slices } of find_doubly_covered(ascending)) suspects.add(slices[0]).add(slices[1])
  const rows: [start: number, end: number][] = []
  // Two bands that are no suspects do not meet, and bands ascend by their first row.
  for (const i of [...suspects].sort((a, b) => a - b)) {
    const { q0, q1 } = ascending[i]!
    const last = rows.at(-1)
    if (last !== undefined && q0 <= last[1]) last[1] = Math.max(last[1], q1)
    else rows.push([q0, q1])
  }
  return rows
}

/** The rows of a band that are not shared. */
function* rowsOutside({ q0, q1 }: Band, shared: readonly Rows[]): Generator<Rows> {
  let start = q0
  for (let i = firstEndingAfter(shared, q0); i < shared.length && shared[i]![0] < q1; i++) {
    if (start < shared[i]![0]) yield [start, shared[i]![0]]
    start = shared[i]![1]
  }
  if (start < q1) yield [start, q1]
}

function firstEndingAfter(rows: readonly Rows[], row: number): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (rows[middle]![1] > row) high = middle
    else low = middle + 1
  }
  return low
}

interface Strip {
  readonly start: number
  readonly end: number
  /** The bands that hold all rows of the strip. */
  readonly active: readonly Band[]
}

/** Cuts the shared rows wherever a band starts or ends. */
function* strips(ascending: readonly Band[], shared: readonly Rows[]): Generator<Strip> {
  let next = 0
  let active: Band[] = []
  for (const [first, last] of shared) {
    for (let start = first; start < last; ) {
      while (next < ascending.length && ascending[next]!.q0 <= start) active.push(ascending[next++]!)
      active = active.filter(band => band.q1 > start)
      let end = Math.min(last, ascending[next]?.q0 ?? last)
      for (const band of active) end = Math.min(end, band.q1)
      yield { start, end, active }
      start = end
    }
  }
}

function requireRows(band: Band, total_seqlen: number, argument: string): void {
  if (band.q0 >= 0 && band.q1 <= total_seqlen) return
  throw new InvalidRangeError({
    argument,
    expected: `query rows within [0, ${total_seqlen})`,
    actual: `[${band.q0}, ${band.q1})`,
  })
}
