import { sliceArea } from '../area.js'
import { type AttnMaskType, parse_attn_mask_types } from '../attn-mask-type.js'
import { AttnRange, checkInteger, type RangeLike } from '../attn-range.js'
import { AttnRanges, type RangesLike } from '../attn-ranges.js'

export interface MultiKAttnSliceOptions {
  readonly slice_id?: number | null
  readonly q_range: RangeLike
  readonly k_ranges: RangesLike
  /** One for each key range. */
  readonly mask_types: ArrayLike<AttnMaskType | number>
}

/** One query range against several key ranges, each with its own mask type. Everything is copied. */
export class MultiKAttnSlice {
  readonly slice_id: number | null
  readonly q_range: AttnRange
  readonly k_ranges: AttnRanges
  readonly mask_types: readonly AttnMaskType[]
  private knownArea: number | undefined = undefined

  /**
   * @throws {@link ShapeError} unless there are as many mask types as key ranges
   * @throws {@link ArgumentError} for bad ranges or an unknown mask type
   */
  constructor({ slice_id = null, q_range, k_ranges, mask_types }: MultiKAttnSliceOptions) {
    this.slice_id = slice_id === null ? null : checkInteger(slice_id, 'slice_id')
    this.q_range = AttnRange.from_range(q_range, true)
    this.k_ranges = AttnRanges.from_ranges(k_ranges, true)
    this.mask_types = parse_attn_mask_types(mask_types, this.k_ranges.length, 'mask_types')
  }

  /** Number of attended cells over all key ranges, unless another value was assigned. */
  get area(): number {
    if (this.knownArea !== undefined) return this.knownArea
    return this.mask_types.reduce(
      (sum, type, i) => sum + sliceArea(this.q_range, this.k_ranges.at(i), type),
      0,
    )
  }

  set area(area: number) {
    this.knownArea = checkInteger(area, 'area', 0)
  }

  /** Equality of everything but the area. */
  equals(other: unknown): boolean {
    return (
      other instanceof MultiKAttnSlice &&
      other.slice_id === this.slice_id &&
      other.q_range.equals(this.q_range) &&
      other.k_ranges.equals(this.k_ranges) &&
      other.mask_types.every((type, i) => type === this.mask_types[i])
    )
  }

  /** `"[0, 4) x [0, 4) full, [8, 12) causal"` */
  toString(): string {
    const keys = this.mask_types.map((type, i) => `${this.k_ranges.at(i)} ${type}`)
    return `${this.q_range} x ${keys.join(', ')}`
  }
}
