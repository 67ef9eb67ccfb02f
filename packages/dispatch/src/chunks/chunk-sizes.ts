import { requireInteger } from '../validate.js'

/**
 * Number of tokens of each chunk, `[ceil(total_seqlen / chunk_size)]`: all `chunk_size` but the last, which
 * holds what is left.
 * @throws `ArgumentError` unless `total_seqlen` is an integer `>= 0` and `chunk_size` one `>= 1`
 */
export function chunkActualSizes(total_seqlen: number, chunk_size: number): number[] {
  requireInteger(total_seqlen, 'total_seqlen')
  requireInteger(chunk_size, 'chunk_size', 1)
  const num_chunks = Math.ceil(total_seqlen / chunk_size)
  return Array.from({ length: num_chunks }, (_, i) => Math.min(chunk_size, total_seqlen - i * chunk_size))
}
