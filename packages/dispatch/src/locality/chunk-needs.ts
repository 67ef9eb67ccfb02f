import { type Band, InvalidRangeError, tightenBand } from '@magi-attention/common'
import { requireInteger } from '../validate.js'
import { type IntervalLists, IntervalListsBuilder } from './interval-lists.js'

export interface ChunkNeedsOptions {
  /** The mask over a self-attention sequence: the union of these bands. */
  readonly bands: Iterable<Band>
  /** Length of the sequence. */
  readonly totalTokens: number
  /** Tokens in a chunk; the last one may be short. */
  readonly chunkSize: number
}

/**
 * The keys that the queries of each chunk attend to, `[ceil(totalTokens / chunkSize)]` lists. Constant time
 * for each pair of a chunk and a band in it, plus sorting.
 * @throws `ArgumentError` for sizes or bounds that are not integers
 * @throws `InvalidRangeError` for rows or keys outside of `[0, totalTokens)`, naming `bands[i]`
 */
export function chunkNeeds({ bands, totalTokens, chunkSize }: ChunkNeedsOptions): IntervalLists {
  requireInteger(totalTokens, 'totalTokens')
  requireInteger(chunkSize, 'chunkSize', 1)
  const needs = new IntervalListsBuilder(Math.ceil(totalTokens / chunkSize))
  let index = 0
  for (const band of bands) {
    const tight = tightenBand(band)
    if (tight !== null) {
      requireInside(tight, totalTokens, `bands[${index}]`)
      addBand(needs, tight, chunkSize)
    }
    index++
  }
  return needs.build()
}

/** Each column of a tight band holds a cell, so that the keys of consecutive rows have no gap. */
function addBand(needs: IntervalListsBuilder, { q0, q1, k0, k1, lo, hi }: Band, chunkSize: number): void {
  for (let chunk = Math.floor(q0 / chunkSize), row = q0; row < q1; chunk++) {
    const end = Math.min(q1, (chunk + 1) * chunkSize)
    needs.add(chunk, Math.max(k0, row + lo), Math.min(k1, end + hi))
    row = end
  }
}

function requireInside({ q0, q1, k0, k1 }: Band, totalTokens: number, argument: string): void {
  if (q0 >= 0 && k0 >= 0 && q1 <= totalTokens && k1 <= totalTokens) return
  throw new InvalidRangeError({
    argument,
    expected: `rows and keys within [0, ${totalTokens})`,
    actual: `rows [${q0}, ${q1}), keys [${k0}, ${k1})`,
  })
}
