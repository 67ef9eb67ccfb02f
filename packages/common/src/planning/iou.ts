import type { AttnRanges } from '../attn-ranges.js'

/** Repeated positions over all positions of a list, 0 when there are none. */
export function rangesIou(ranges: AttnRanges): number {
  const union = ranges.union_size()
  return union === 0 ? 0 : ranges.intersect_size() / union
}

/** Repeated positions in the common part of two lists over all positions of both, 0 when there are none. */
export function rangesIouWith(ranges: AttnRanges, other: AttnRanges): number {
  const union = ranges.union_size_with(other)
  return union === 0 ? 0 : ranges.intersect_size_with(other) / union
}
