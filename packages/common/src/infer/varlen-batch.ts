import { checkInteger } from '../attn-range.js'
import { ArgumentError } from '../errors/index.js'
import { requireOptions } from './validate.js'

export interface InferVarlenMaskFromBatchOptions {
  /** Number of samples, >= 0. */
  batch_size: number
  /** Tokens a sample, >= 0. */
  seq_len: number
}

/**
 * Cumulative sequence lengths of a batch whose samples all have `seq_len` tokens:
 * `[0, s, 2s, ..., b * s]`, once for queries and once for keys, int32 of shape `[batch_size + 1]`.
 * Feed them to {@link infer_attn_mask_from_cu_seqlens}.
 *
 * @throws {@link ArgumentError} for a value that is not an integer >= 0, or a total beyond int32.
 */
export function infer_varlen_mask_from_batch(
  options: InferVarlenMaskFromBatchOptions,
): [cu_seqlens_q: Int32Array, cu_seqlens_k: Int32Array] {
  requireOptions('infer_varlen_mask_from_batch', options)
  const batchSize = checkInteger(options.batch_size, 'batch_size', 0)
  const seqLen = checkInteger(options.seq_len, 'seq_len', 0)
  const maxInt32 = 2 ** 31 - 1
  if (batchSize * seqLen > maxInt32 || batchSize >= maxInt32) {
    throw new ArgumentError({
      argument: 'seq_len',
      expected: `batch_size * seq_len <= ${maxInt32} (cumulative lengths are int32)`,
      actual: seqLen,
      hint: 'Split the batch.',
    })
  }
  const cuSeqlens = Int32Array.from({ length: batchSize + 1 }, (_, sample) => sample * seqLen)
  return [cuSeqlens, cuSeqlens.slice()]
}
