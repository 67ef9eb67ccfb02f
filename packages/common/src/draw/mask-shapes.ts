import { bandArea } from '../area.js'
import { bandsOf, type MaskSlices, parseSlices } from '../attn-mask/parse-slices.js'
import { AttnMaskType, attn_mask_type_from } from '../attn-mask-type.js'
import { AttnRange, checkInteger, type RangeLike } from '../attn-range.js'
import { AttnRectangle } from '../attn-rectangle.js'
import { ArgumentError, InvalidRangeError } from '../errors/index.js'
import { requireRange } from '../infer/validate.js'
import { type Band, sliceToBand, tightenBand } from '../rectangle-slices.js'

/** One slice of a mask to draw. */
export type DrawableSlice =
  | Band
  | AttnRectangle
  | { readonly q_range: RangeLike; readonly k_range: RangeLike; readonly mask_type: AttnMaskType | number }
  | readonly [q_range: RangeLike, k_range: RangeLike, mask_type: AttnMaskType | number]

/**
 * Everything that can be drawn: an `AttnMask`, the three lists `{ q_ranges, k_ranges, attn_mask_type }`, an
 * `AttnRectangle`, `AttnRectangles`, or a list of slices, rectangles and bands.
 */
export type DrawableMask = MaskSlices | AttnRectangle | Iterable<DrawableSlice>

export interface DrawMaskOptions {
  /** Number of queries to show. Default: that of the mask, or the end of its last slice. */
  total_seqlen_q?: number | undefined
  /** Number of keys to show. Default: that of the mask, or the end of its last slice. */
  total_seqlen_k?: number | undefined
  /** A line above the drawing. Default: none. */
  title?: string | undefined
}

/** A band with the mask type that decides about its colour. */
export interface Shape {
  /** Tight: every row, column and diagonal holds a cell. */
  readonly band: Band
  readonly type: AttnMaskType
}

/** A mask, ready to be drawn. */
export interface MaskShapes {
  readonly rows: number
  readonly cols: number
  /** Shapes without cells are left out. */
  readonly shapes: readonly Shape[]
}

/**
 * Reads any drawable mask.
 * @throws {@link ArgumentError} for something that is not a mask.
 * @throws {@link InvalidRangeError} for slices that leave the mask.
 */
export function toMaskShapes(mask: DrawableMask, options: DrawMaskOptions): MaskShapes {
  let shapes: readonly Shape[]
  let totals: readonly [rows: number, cols: number] | undefined
  if (isMaskSlices(mask)) {
    const slices = parseSlices(mask)
    shapes = bandsOf(slices).map((band, i) => ({ band, type: slices.attn_mask_type[i]! }))
    totals = [slices.total_seqlen_q, slices.total_seqlen_k]
  } else if (mask instanceof AttnRectangle) {
    shapes = [toShape(mask, 'mask')]
  } else if (typeof (mask as Iterable<unknown> | null | undefined)?.[Symbol.iterator] === 'function') {
    shapes = Array.from(mask, (slice, i) => toShape(slice, `mask[${i}]`))
  } else {
    throw new ArgumentError({
      argument: 'mask',
      expected:
        'an AttnMask, AttnRectangles, { q_ranges, k_ranges, attn_mask_type }, or a list of slices or bands',
      actual: mask,
    })
  }
  const tight = shapes.flatMap(({ band, type }) => {
    const tightBand = tightenBand(band)
    return tightBand === null ? [] : [{ band: tightBand, type }]
  })
  const extent = (side: 'q1' | 'k1') => tight.reduce((end, shape) => Math.max(end, shape.band[side]), 0)
  const rows = checkInteger(options.total_seqlen_q ?? totals?.[0] ?? extent('q1'), 'total_seqlen_q', 0)
  const cols = checkInteger(options.total_seqlen_k ?? totals?.[1] ?? extent('k1'), 'total_seqlen_k', 0)
  for (const { band } of tight) requireInside(band, rows, cols)
  return { rows, cols, shapes: tight }
}

function isMaskSlices(mask: DrawableMask): mask is MaskSlices {
  return typeof mask === 'object' && mask !== null && 'q_ranges' in mask && 'k_ranges' in mask
}

function toShape(slice: DrawableSlice, argument: string): Shape {
  if (typeof slice !== 'object' || slice === null) {
    throw new ArgumentError({ argument, expected: 'a slice, an AttnRectangle or a band', actual: slice })
  }
  if (slice instanceof AttnRectangle) {
    const band = slice.toBand()
    return { band, type: typeOfBand(band) }
  }
  if ('q0' in slice) {
    bandArea(slice)
    return { band: slice, type: typeOfBand(slice) }
  }
  const [q, k, code] = 'q_range' in slice ? [slice.q_range, slice.k_range, slice.mask_type] : slice
  const type = attn_mask_type_from(code, `${argument}.mask_type`)
  const band = sliceToBand(
    requireRange(`${argument}.q_range`, q),
    requireRange(`${argument}.k_range`, k),
    type,
  )
  return { band, type }
}

/** Which edges of its rectangle a band cuts. */
function typeOfBand({ q0, q1, k0, k1, lo, hi }: Band): AttnMaskType {
  const cutsLeft = lo > k0 - (q1 - 1)
  const cutsRight = hi < k1 - 1 - q0
  if (cutsLeft) return cutsRight ? AttnMaskType.BI_CAUSAL : AttnMaskType.INV_CAUSAL
  return cutsRight ? AttnMaskType.CAUSAL : AttnMaskType.FULL
}

function requireInside(band: Band, rows: number, cols: number): void {
  if (band.q0 >= 0 && band.k0 >= 0 && band.q1 <= rows && band.k1 <= cols) return
  throw new InvalidRangeError({
    argument: 'mask',
    expected: `slices within the queries [0, ${rows}) and the keys [0, ${cols})`,
    actual: `${new AttnRange(band.q0, band.q1)} x ${new AttnRange(band.k0, band.k1)}`,
    hint: 'Pass total_seqlen_q and total_seqlen_k that reach the end of every slice.',
  })
}
