import {
  AttnRanges,
  type Band,
  bandArea,
  bandToSlices,
  parse_attn_mask_types,
  type RangesLike,
  ShapeError,
  sliceToBand,
  to_int_type,
} from '@magi-attention/common'
import { disjointBands } from '../dist-attn-solver/disjoint-bands.js'
import { requireInteger } from '../validate.js'

export interface AttnArgOptions {
  readonly q_ranges: RangesLike
  readonly k_ranges: RangesLike
  /** Integer codes or names, one for each slice. */
  readonly attn_type_map: ArrayLike<number | string>
  /** Number of attended cells. Default -1: counted; cells in several slices count once. */
  readonly total_area?: number | undefined
}

/** The mask arguments of `flex_flash_attn_func`. */
export interface FfaArgs {
  /** Starts and ends in turn, int32 `[num_slices, 2]`. */
  readonly q_ranges: Int32Array
  /** Starts and ends in turn, int32 `[num_slices, 2]`. */
  readonly k_ranges: Int32Array
  /** Codes, int32 `[num_slices]`: full 0, causal 1, inv_causal 2, bi_causal 3. */
  readonly attn_type_map: Int32Array
  /** Whether no query is in two slices. */
  readonly disable_fwd_atomic_reduction: boolean
}

/** The mask of some keys of a buffer. */
export interface AttnArgPart {
  readonly arg: AttnArg
  /** Number of keys that it is about. */
  readonly seqlen_k: number
}

/** The mask of one kernel call, in positions of the buffers that the kernel gets. Slices are kept as given. */
export class AttnArg {
  readonly q_ranges: AttnRanges
  readonly k_ranges: AttnRanges
  /** Integer codes. */
  readonly attn_type_map: readonly number[]
  /** The same slices as rectangles with a band of diagonals. */
  readonly bands: readonly Band[]
  /** Number of attended cells. */
  readonly total_area: number
  private ffaArgs: FfaArgs | undefined = undefined

  /**
   * @throws `ShapeError` for lists of different lengths
   * @throws `ArgumentError` for bad ranges, an unknown mask type, or a bad area
   */
  constructor(options: AttnArgOptions) {
    this.q_ranges = AttnRanges.from_ranges(options.q_ranges, true)
    this.k_ranges = AttnRanges.from_ranges(options.k_ranges, true)
    const count = this.q_ranges.length
    if (this.k_ranges.length !== count) {
      const expected = `${count} ranges, as many as q_ranges`
      throw new ShapeError({ argument: 'k_ranges', expected, actual: this.k_ranges.length })
    }
    const types = parse_attn_mask_types(Array.from(options.attn_type_map), count, 'attn_type_map')
    this.attn_type_map = types.map(to_int_type)
    this.bands = types.map((type, i) => sliceToBand(this.q_ranges.at(i), this.k_ranges.at(i), type))
    const { total_area = -1 } = options
    requireInteger(total_area, 'total_area', -1)
    this.total_area = total_area < 0 ? unionArea(this.bands) : total_area
  }

  /** The slices of bands without a common cell; each band gives at most three. */
  static from_bands(bands: readonly Band[]): AttnArg {
    const slices = bands.flatMap(bandToSlices)
    return new AttnArg({
      q_ranges: slices.map(slice => slice.q_range),
      k_ranges: slices.map(slice => slice.k_range),
      attn_type_map: slices.map(slice => slice.mask_type),
      total_area: bands.reduce((area, band) => area + bandArea(band), 0),
    })
  }

  /** One call for the masks of several, whose keys are put one behind the other; all have the same queries. */
  static join(parts: readonly AttnArgPart[]): AttnArg {
    const q_ranges = new AttnRanges()
    const k_ranges = new AttnRanges()
    const attn_type_map: number[] = []
    let total_area = 0
    let offset = 0
    for (const { arg, seqlen_k } of parts) {
      q_ranges.extend(arg.q_ranges)
      for (const range of arg.k_ranges) k_ranges.append(range.offset(offset))
      for (const type of arg.attn_type_map) attn_type_map.push(type)
      total_area += arg.total_area
      offset += seqlen_k
    }
    return new AttnArg({ q_ranges, k_ranges, attn_type_map, total_area })
  }

  /** The same mask where the queries have moved by `offset` rows. */
  move_queries(offset: number): AttnArg {
    const q_ranges = new AttnRanges()
    for (const range of this.q_ranges) q_ranges.append(range.offset(offset))
    const { k_ranges, attn_type_map, total_area } = this
    return new AttnArg({ q_ranges, k_ranges, attn_type_map, total_area })
  }

  /** Whether there is nothing to compute, forward (the default) or backward. */
  can_skip(_is_bwd = false): boolean {
    return this.q_ranges.is_empty()
  }

  /**
   * The mask as the kernel takes it, forward (the default) or backward. Made once: do not change the arrays.
   * @throws `InvalidRangeError` for a position that int32 cannot hold
   */
  to_ffa_args(_is_bwd = false): FfaArgs {
    this.ffaArgs ??= Object.freeze({
      q_ranges: this.q_ranges.to_int32_array(),
      k_ranges: this.k_ranges.to_int32_array(),
      attn_type_map: Int32Array.from(this.attn_type_map),
      disable_fwd_atomic_reduction: this.q_ranges.is_non_overlap(),
    })
    return this.ffaArgs
  }
}

function unionArea(bands: readonly Band[]): number {
  return disjointBands(bands).reduce((area, band) => area + bandArea(band), 0)
}
