import { type AttnMaskType, type GeneralAttnMaskType, parse_attn_mask_types } from '../attn-mask-type.js'
import { checkInteger } from '../attn-range.js'
import { AttnRanges, type RangesLike } from '../attn-ranges.js'
import { ArgumentError, InvalidRangeError, ShapeError } from '../errors/index.js'
import { requireRange } from '../infer/validate.js'
import { type Band, sliceToBand } from '../rectangle-slices.js'

/** A mask as the attention functions take it. Totals left out are the ends of the ranges. */
export interface MaskSlices {
  readonly q_ranges: RangesLike
  readonly k_ranges: RangesLike
  /** One mask type for all slices, or one for each; names or integer codes. */
  readonly attn_mask_type: GeneralAttnMaskType | number | ArrayLike<string | number>
  readonly total_seqlen_q?: number | undefined
  readonly total_seqlen_k?: number | undefined
}

/** The same, checked and copied. */
export interface ParsedSlices {
  readonly q_ranges: AttnRanges
  readonly k_ranges: AttnRanges
  readonly attn_mask_type: AttnMaskType[]
  readonly total_seqlen_q: number
  readonly total_seqlen_k: number
}

/**
 * Checks the slices of a mask and copies them.
 * @throws {@link InvalidRangeError} for a range that is malformed or beyond its total, named `q_ranges[i]`.
 * @throws {@link ShapeError} for lists of different length.
 * @throws {@link ArgumentError} for an unknown mask type or a bad total.
 */
export function parseSlices(mask: MaskSlices): ParsedSlices {
  const q = parseRanges('q_ranges', mask.q_ranges)
  const k = parseRanges('k_ranges', mask.k_ranges)
  if (q.length !== k.length) {
    throw new ShapeError({
      argument: 'k_ranges',
      expected: `${q.length} ranges, as many as q_ranges`,
      actual: k.length,
    })
  }
  return {
    q_ranges: q,
    k_ranges: k,
    attn_mask_type: parse_attn_mask_types(mask.attn_mask_type, q.length),
    total_seqlen_q: parseTotal('q', q, mask.total_seqlen_q),
    total_seqlen_k: parseTotal('k', k, mask.total_seqlen_k),
  }
}

/** The bands of checked slices, in their order. */
export function bandsOf(slices: ParsedSlices): Band[] {
  return Array.from(slices.q_ranges, (q, i) =>
    sliceToBand(q, slices.k_ranges.at(i), slices.attn_mask_type[i]!),
  )
}

function parseRanges(argument: string, given: RangesLike): AttnRanges {
  if (typeof (given as Iterable<unknown> | null | undefined)?.[Symbol.iterator] !== 'function') {
    throw new ArgumentError({ argument, expected: 'AttnRanges or a list of ranges', actual: given })
  }
  return AttnRanges.from_ranges(Array.from(given, (range, i) => requireRange(`${argument}[${i}]`, range)))
}

function parseTotal(side: 'q' | 'k', ranges: AttnRanges, given: number | undefined): number {
  const total = checkInteger(given ?? (ranges.is_empty() ? 0 : ranges.end), `total_seqlen_${side}`, 0)
  let i = 0
  for (const range of ranges) {
    if (range.start < 0 || range.end > total) {
      throw new InvalidRangeError({
        argument: `${side}_ranges[${i}]`,
        expected: `a range within [0, ${total})`,
        actual: range,
        hint: `total_seqlen_${side} must reach the end of every range.`,
      })
    }
    i++
  }
  return total
}
