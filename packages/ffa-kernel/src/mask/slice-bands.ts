import type { Band } from '@magi-attention/common'

/**
 * The bands of slices given as flat `[n, 2]` ranges and codes (null: all full), which have been checked. Slices without
 * a query or a key are left out. Does what `sliceToBand` of common does, without an object for every range.
 */
export function sliceBands(
  qRanges: ArrayLike<number>,
  kRanges: ArrayLike<number>,
  typeCodes: ArrayLike<number> | null,
): Band[] {
  const bands: Band[] = []
  for (let i = 0; i < qRanges.length; i += 2) {
    const q0 = qRanges[i]!
    const q1 = qRanges[i + 1]!
    const k0 = kRanges[i]!
    const k1 = kRanges[i + 1]!
    if (q0 === q1 || k0 === k1) continue
    const code = typeCodes === null ? 0 : typeCodes[i >> 1]!
    // Bit 0: causal, bounded by the bottom-right corner. Bit 1: inv_causal, by the top-left one. Both: bi_causal.
    const lo = code & 2 ? k0 - q0 : Number.NEGATIVE_INFINITY
    const hi = code & 1 ? k1 - q1 : Number.POSITIVE_INFINITY
    bands.push({ q0, q1, k0, k1, lo, hi })
  }
  return bands
}
