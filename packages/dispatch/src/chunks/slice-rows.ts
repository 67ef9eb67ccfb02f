import { AttnMaskType, AttnRange, type TypedSlice } from '@magi-attention/common'

/**
 * The part of a slice in the rows `[start, end)`, without rows that attend to nothing and without keys that
 * no row attends to; its type stays the same. Null when nothing is left.
 *
 * A causal slice is aligned to its last row and key, so keys at the end go with rows below; for inv_causal it
 * is the first ones, and for bi_causal both. Afterwards a causal or inv_causal slice has no more rows than
 * keys.
 */
export function sliceInRows(slice: TypedSlice, start: number, end: number): TypedSlice | null {
  const { mask_type } = slice
  const { start: q0, end: q1 } = slice.q_range
  const { start: k0, end: k1 } = slice.k_range
  const isBoundAbove = mask_type === AttnMaskType.CAUSAL || mask_type === AttnMaskType.BI_CAUSAL
  const isBoundBelow = mask_type === AttnMaskType.INV_CAUSAL || mask_type === AttnMaskType.BI_CAUSAL
  if (isBoundAbove && isBoundBelow && k1 - k0 < q1 - q0) return null

  // Row i attends to keys up to k1 - (q1 - 1 - i), and from k0 + (i - q0) on.
  const from = Math.max(start, q0, isBoundAbove ? q1 - (k1 - k0) : q0)
  const to = Math.min(end, q1, isBoundBelow ? q0 + (k1 - k0) : q1)
  if (from >= to || k0 === k1) return null
  const firstKey = isBoundBelow ? k0 + (from - q0) : k0
  const endKey = isBoundAbove ? k1 - (q1 - to) : k1
  return { q_range: new AttnRange(from, to), k_range: new AttnRange(firstKey, endKey), mask_type }
}
