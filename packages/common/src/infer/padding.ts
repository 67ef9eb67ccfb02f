import { parseSlices } from '../attn-mask/parse-slices.js'
import { AttnMaskType, type GeneralAttnMaskType } from '../attn-mask-type.js'
import { checkInteger } from '../attn-range.js'
import type { RangesLike } from '../attn-ranges.js'
import type { InferredVarlenMask } from './cu-seqlens-mask.js'
import { requireOptions } from './validate.js'

export interface ApplyPaddingOptions {
  /** Query ranges of the slices, all within `[0, total_seqlen_q)`. */
  q_ranges: RangesLike
  /** Key ranges of the slices, all within `[0, total_seqlen_k)`. */
  k_ranges: RangesLike
  /** One mask type for all slices, or one for each. */
  attn_mask_type: GeneralAttnMaskType
  /** Number of query tokens before padding. */
  total_seqlen_q: number
  /** Number of key tokens before padding. */
  total_seqlen_k: number
  /** Tokens to append, as {@link compute_pad_size} gives them. */
  pad_size: number
}

/**
 * The mask of a sequence that was padded by `pad_size` tokens at its end. The padding queries attend to
 * nothing: they become one full slice with the empty key range `[0, 0)`, and both totals grow by `pad_size`.
 * With `pad_size` 0 the mask comes back as it was. The arguments stay unchanged.
 *
 * @throws {@link ArgumentError} for lists of different length, an unknown mask type, or a negative size.
 * @throws {@link InvalidRangeError} for a range beyond its total.
 */
export function apply_padding(options: ApplyPaddingOptions): InferredVarlenMask {
  requireOptions('apply_padding', options)
  const padSize = checkInteger(options.pad_size, 'pad_size', 0)
  const totalQ = checkInteger(options.total_seqlen_q, 'total_seqlen_q', 0)
  const totalK = checkInteger(options.total_seqlen_k, 'total_seqlen_k', 0)
  const { q_ranges: qRanges, k_ranges: kRanges, attn_mask_type: types } = parseSlices(options)
  if (padSize > 0) {
    qRanges.append([totalQ, totalQ + padSize])
    kRanges.append([0, 0])
    types.push(AttnMaskType.FULL)
  }
  return [qRanges, kRanges, types, totalQ + padSize, totalK + padSize]
}
