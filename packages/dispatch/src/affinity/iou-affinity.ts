import { AttnRanges, type RangesLike } from '@magi-attention/common'
import { Affinity, wrongKind } from './affinity.js'

/** Keys that are attended: those that share more keys belong together. */
export class IOUAffinity extends Affinity {
  readonly kind = 'iou'
  private readonly k_ranges: AttnRanges

  private constructor(k_ranges: AttnRanges) {
    super()
    this.k_ranges = k_ranges
  }

  /**
   * @param k_ranges - keys, copied; may overlap
   * @throws `ArgumentError` and `InvalidRangeError`, naming `ranges[i]`
   */
  static from_ranges(k_ranges: RangesLike): IOUAffinity {
    return new IOUAffinity(AttnRanges.from_ranges(k_ranges, true))
  }

  /** A copy of the keys. */
  get ranges(): AttnRanges {
    return this.k_ranges.clone()
  }

  /** Minus the number of repeated keys in the common part, see `AttnRanges.intersect_size_with`. */
  distance_to(other: Affinity): number {
    if (!(other instanceof IOUAffinity)) throw wrongKind(this.kind, other)
    return 0 - this.k_ranges.intersect_size_with(other.k_ranges)
  }

  update(other: Affinity): void {
    if (!(other instanceof IOUAffinity)) throw wrongKind(this.kind, other)
    this.k_ranges.extend(other.k_ranges)
  }

  emptied(): IOUAffinity {
    return new IOUAffinity(new AttnRanges())
  }
}
