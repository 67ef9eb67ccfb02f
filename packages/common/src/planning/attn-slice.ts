import { sliceArea } from '../area.js'
import { type AttnMaskType, attn_mask_type_from } from '../attn-mask-type.js'
import { AttnRange, checkInteger, type RangeLike } from '../attn-range.js'

export interface AttnSliceOptions {
  /** Place of the slice in its chunk. */
  readonly slice_id?: number | null
  readonly mask_type: AttnMaskType | number
  readonly q_range: RangeLike
  readonly k_range: RangeLike
}

/** One entry of a mask inside of a plan: a query range, a key range, a mask type. Ranges are copied. */
export class AttnSlice {
  readonly slice_id: number | null
  readonly mask_type: AttnMaskType
  readonly q_range: AttnRange
  readonly k_range: AttnRange
  private knownArea: number | undefined = undefined

  /** @throws {@link ArgumentError} for bad ranges or an unknown mask type */
  constructor({ slice_id = null, mask_type, q_range, k_range }: AttnSliceOptions) {
    this.slice_id = slice_id === null ? null : checkInteger(slice_id, 'slice_id')
    this.mask_type = attn_mask_type_from(mask_type, 'mask_type')
    this.q_range = AttnRange.from_range(q_range, true)
    this.k_range = AttnRange.from_range(k_range, true)
  }

  /** Number of attended cells, unless another value was assigned. */
  get area(): number {
    return this.knownArea ?? sliceArea(this.q_range, this.k_range, this.mask_type)
  }

  set area(area: number) {
    this.knownArea = checkInteger(area, 'area', 0)
  }

  /** Common part of both key ranges over their union, in `[0, 1]`; 0 when both are empty. */
  iou_with(other: AttnSlice): number {
    const union = this.k_range.union_size(other.k_range)
    return union === 0 ? 0 : this.k_range.intersect_size(other.k_range) / union
  }

  /** Equality of everything but the area. */
  equals(other: unknown): boolean {
    return (
      other instanceof AttnSlice &&
      other.slice_id === this.slice_id &&
      other.mask_type === this.mask_type &&
      other.q_range.equals(this.q_range) &&
      other.k_range.equals(this.k_range)
    )
  }

  /** `"[0, 2) x [0, 4) causal"` */
  toString(): string {
    return `${this.q_range} x ${this.k_range} ${this.mask_type}`
  }
}
