import { checkInteger } from '../attn-range.js'
import { ArgumentError } from '../errors/index.js'
import { requireOptions } from './validate.js'

export interface ComputePadSizeOptions {
  /** Number of query tokens before padding, >= 0. */
  total_seqlen_q: number
  /** Number of context-parallel ranks, >= 1. */
  cp_size: number
  /** Tokens a chunk, >= 1. */
  chunk_size: number
}

/**
 * The fewest tokens to append so that every rank gets the same number of whole chunks:
 * the smallest `p >= 0` with `(total_seqlen_q + p) % (cp_size * chunk_size) == 0`.
 *
 * @throws {@link ArgumentError} for a value that is not an integer or out of bounds.
 */
export function compute_pad_size(options: ComputePadSizeOptions): number {
  requireOptions('compute_pad_size', options)
  const total = checkInteger(options.total_seqlen_q, 'total_seqlen_q', 0)
  const cpSize = checkInteger(options.cp_size, 'cp_size', 1)
  const chunkSize = checkInteger(options.chunk_size, 'chunk_size', 1)
  const unit = cpSize * chunkSize
  if (!Number.isSafeInteger(total + unit)) {
    throw new ArgumentError({
      argument: 'chunk_size',
      expected: 'cp_size * chunk_size within the safe integers',
      actual: chunkSize,
    })
  }
  const rest = total % unit
  return rest === 0 ? 0 : unit - rest
}
