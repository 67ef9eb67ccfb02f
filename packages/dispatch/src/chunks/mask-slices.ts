import {
  AttnRanges,
  type Band,
  type GeneralAttnMaskType,
  InvalidRangeError,
  parse_attn_mask_types,
  type RangesLike,
  ShapeError,
  sliceToBand,
  type TypedSlice,
} from '@magi-attention/common'

/** A mask as three lists of equal length. */
export interface SlicesOptions {
  readonly q_ranges: RangesLike
  readonly k_ranges: RangesLike
  /** One mask type for all slices, or one for each; names or integer codes. */
  readonly attn_mask_type: GeneralAttnMaskType | number | ArrayLike<string | number>
}

/**
 * The slices of a mask, checked and copied.
 * @throws `ShapeError` for lists of different length
 * @throws `InvalidRangeError` for a range outside of `[0, total_seqlen)`, naming `q_ranges[i]`
 * @throws `ArgumentError` for ranges that are not integers, and for an unknown mask type
 */
export function parseSlices(
  { q_ranges, k_ranges, attn_mask_type }: SlicesOptions,
  total_seqlen_q: number,
  total_seqlen_k: number,
): TypedSlice[] {
  const q = requireRanges(q_ranges, 'q_ranges', total_seqlen_q)
  const k = requireRanges(k_ranges, 'k_ranges', total_seqlen_k)
  if (q.length !== k.length) {
    throw new ShapeError({
      argument: 'k_ranges',
      expected: `${q.length} ranges, as many as q_ranges`,
      actual: k.length,
    })
  }
  const types = parse_attn_mask_types(attn_mask_type, q.length)
  return types.map((mask_type, i) => ({ q_range: q.at(i), k_range: k.at(i), mask_type }))
}

/** By start of the queries, then by their end; equal ones keep their order. */
export function sortSlices(slices: readonly TypedSlice[]): TypedSlice[] {
  return slices.toSorted((a, b) => a.q_range.start - b.q_range.start || a.q_range.end - b.q_range.end)
}

/** The same mask as bands, one for each slice. */
export function slicesToBands(slices: readonly TypedSlice[]): Band[] {
  return slices.map(({ q_range, k_range, mask_type }) => sliceToBand(q_range, k_range, mask_type))
}

function requireRanges(value: RangesLike, argument: string, total_seqlen: number): AttnRanges {
  const ranges = AttnRanges.from_ranges(value, true)
  let i = 0
  for (const range of ranges) {
    if (range.start < 0 || range.end > total_seqlen) {
      throw new InvalidRangeError({
        argument: `${argument}[${i}]`,
        expected: `a range within [0, ${total_seqlen})`,
        actual: range,
      })
    }
    i++
  }
  return ranges
}
