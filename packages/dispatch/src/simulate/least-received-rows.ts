import type { Band } from '@magi-attention/common'
import { BandIncidence } from '../dist-attn-solver/band-incidence.js'
import { rowSeqlen } from '../dist-attn-solver/range-table.js'
import { remoteKeys } from '../dist-attn-solver/remote-keys.js'
import { Sharding } from '../dist-attn-solver/sharding.js'

interface Spread {
  readonly total_seqlen: number
  readonly chunk_size: number
  readonly partitions: readonly (readonly number[])[]
}

/**
 * Rows that all ranks together receive at least, however the chunks are spread, when each rank gets as many
 * chunks as it has in `partitions` and queries stay where they are.
 *
 * The rank of a chunk needs the keys that the chunk sees, of which it holds no more than its own rows. So it
 * receives at least what its most demanding chunk lacks, and the sum of these greatest demands is least when
 * chunks of like demand are together. The work is not looked at, so a balanced spread may need more.
 *
 * @param bands - the mask, disjoint and tight
 */
export function leastReceivedRows(bands: readonly Band[], spread: Spread): number {
  const { total_seqlen, chunk_size, partitions } = spread
  const numChunks = Math.ceil(total_seqlen / chunk_size)
  const alone = Array.from({ length: numChunks }, (_, chunk) => [chunk])
  const chunks = new Sharding({ total_seqlen, chunk_size, partitions: alone }, 'partitions')
  const lacking = remoteKeys(new BandIncidence(bands, chunks), chunks)
  const held = new Sharding({ total_seqlen, chunk_size, partitions }, 'partitions')
  const mostRows = partitions.reduce((most, _, rank) => Math.max(most, held.seqlenOf(rank)), 0)

  const demands = Float64Array.from({ length: numChunks }, (_, chunk) => {
    const elsewhere = mostRows - chunks.seqlenOf(chunk)
    return Math.max(0, rowSeqlen(lacking, chunk) - elsewhere)
  }).sort((a, b) => b - a)
  let first = 0
  let rows = 0
  for (const count of partitions.map(list => list.length).sort((a, b) => b - a)) {
    rows += demands[first] ?? 0
    first += count
  }
  return rows
}
