import type { AttnMaskType } from '../attn-mask-type.js'
import { AttnRange } from '../attn-range.js'
import { AttnRanges } from '../attn-ranges.js'

/** A mask as three lists of equal length, in the order in which the attention functions take them. */
export type InferredMask = [q_ranges: AttnRanges, k_ranges: AttnRanges, attn_mask_type: AttnMaskType[]]

/** Collects slices row range by row range; a slice without cells is left out. */
export class SliceList {
  readonly q_ranges = new AttnRanges()
  readonly k_ranges = new AttnRanges()
  readonly types: AttnMaskType[] = []

  /** Adds `[q0, q1) x [k0, k1)` unless one side is empty. */
  add(q0: number, q1: number, k0: number, k1: number, type: AttnMaskType): void {
    if (q0 < q1 && k0 < k1) this.addAlways(q0, q1, k0, k1, type)
  }

  /** Adds a slice even if it is empty, for callers that promise one slice a sample. */
  addAlways(q0: number, q1: number, k0: number, k1: number, type: AttnMaskType): void {
    this.q_ranges.append(new AttnRange(q0, q1))
    this.k_ranges.append(new AttnRange(k0, k1))
    this.types.push(type)
  }

  toMask(): InferredMask {
    return [this.q_ranges, this.k_ranges, this.types]
  }
}
