import { bandArea } from './area.js'
import { AttnMaskType, to_int_type } from './attn-mask-type.js'
import { AttnRange, checkInteger, type NaiveRange, type RangeLike } from './attn-range.js'
import { ArgumentError, InvalidRangeError } from './errors/index.js'
import { type Band, bandToSlices, sliceToBand, tightenBand } from './rectangle-slices.js'

/** A slice as a tuple, its type as the integer code: full 0, causal 1, inv_causal 2, bi_causal 3. */
export type SliceTuple = [q_range: AttnRange, k_range: AttnRange, mask_type: number]

/**
 * The cells `(q, k)` with `q` in `q_range`, `k` in `k_range` and `d0 <= k - q <= d1`: a rectangle with a
 * diagonal band.
 *
 * `d_range` holds the band `[d0, d1]`; unlike the other two its end is **inclusive**. The constructor shrinks
 * all three until each row, column and diagonal holds a cell. The ranges are frozen copies: replace them
 * through the setters, which validate but do not shrink.
 */
export class AttnRectangle {
  private q: AttnRange
  private k: AttnRange
  private d: AttnRange

  /**
   * @param q_range - queries, half-open
   * @param k_range - keys, half-open
   * @param d_range - diagonals `k - q`, both ends inclusive; default: all
   * @param mask_type - name or code; cuts the band by the corners of the given ranges. Default `full`
   * @throws {@link ArgumentError} when no cell is left, and for an unknown mask type
   */
  constructor(
    q_range: RangeLike,
    k_range: RangeLike,
    d_range: RangeLike | null = null,
    mask_type: AttnMaskType | number = AttnMaskType.FULL,
  ) {
    const band = sliceToBand(q_range, k_range, mask_type)
    const d = d_range === null ? null : AttnRange.from_range(d_range, true)
    const tight = tightenBand(
      d === null ? band : { ...band, lo: Math.max(band.lo, d.start), hi: Math.min(band.hi, d.end) },
    )
    if (tight === null) {
      throw new ArgumentError({
        argument: 'q_range, k_range, d_range, mask_type',
        expected: 'a rectangle with at least one cell',
        actual: [q_range, k_range, d_range, mask_type],
      })
    }
    this.q = frozen([tight.q0, tight.q1])
    this.k = frozen([tight.k0, tight.k1])
    this.d = frozen([tight.lo, tight.hi])
  }

  /**
   * The rectangle of a band, or `null` when the band has no cell.
   * @throws {@link ArgumentError} for bounds that are not integers (`lo` and `hi` may be infinite)
   */
  static fromBand(band: Band): AttnRectangle | null {
    const tight = tightenBand(band)
    if (tight === null) return null
    return new AttnRectangle([tight.q0, tight.q1], [tight.k0, tight.k1], [tight.lo, tight.hi])
  }

  toBand(): Band {
    return {
      q0: this.q.start,
      q1: this.q.end,
      k0: this.k.start,
      k1: this.k.end,
      lo: this.d.start,
      hi: this.d.end,
    }
  }

  get q_range(): Readonly<AttnRange> {
    return this.q
  }

  set q_range(range: RangeLike) {
    this.check_valid(range)
    this.q = frozen(range)
  }

  get k_range(): Readonly<AttnRange> {
    return this.k
  }

  set k_range(range: RangeLike) {
    this.check_valid(undefined, range)
    this.k = frozen(range)
  }

  /** Diagonals `k - q`; the end is inclusive. */
  get d_range(): Readonly<AttnRange> {
    return this.d
  }

  set d_range(range: RangeLike) {
    this.check_valid(undefined, undefined, range)
    this.d = frozen(range)
  }

  /** Always 1: one rectangle is one entry of a mask. */
  get length(): number {
    return 1
  }

  /**
   * Whether queries and keys are not empty and `d0 <= d1`, of this rectangle or of the values given instead.
   */
  is_valid(q_range: RangeLike = this.q, k_range: RangeLike = this.k, d_range: RangeLike = this.d): boolean {
    const [q0, q1] = ends(q_range)
    const [k0, k1] = ends(k_range)
    const [d0, d1] = ends(d_range)
    return q0 < q1 && k0 < k1 && d0 <= d1
  }

  /** @throws {@link InvalidRangeError} unless `is_valid` */
  check_valid(q_range: RangeLike = this.q, k_range: RangeLike = this.k, d_range: RangeLike = this.d): void {
    if (this.is_valid(q_range, k_range, d_range)) return
    throw new InvalidRangeError({
      argument: 'q_range, k_range, d_range',
      expected: 'queries and keys that are not empty, and d0 <= d1',
      actual: [q_range, k_range, d_range].map(String).join(' x '),
    })
  }

  get_valid_or_none(): AttnRectangle | null {
    return this.is_valid() ? this : null
  }

  clone(): AttnRectangle {
    const copy = new AttnRectangle([0, 1], [0, 1])
    copy.q = this.q
    copy.k = this.k
    copy.d = this.d
    return copy
  }

  /** The parts above and below query `position`; `null` for a part without a cell. */
  cut_q(position: number): [above: AttnRectangle | null, below: AttnRectangle | null] {
    checkInteger(position, 'position')
    return [this.within({ q1: position }), this.within({ q0: position })]
  }

  /** The parts left and right of key `position`; `null` for a part without a cell. */
  cut_k(position: number): [left: AttnRectangle | null, right: AttnRectangle | null] {
    checkInteger(position, 'position')
    return [this.within({ k1: position }), this.within({ k0: position })]
  }

  /** The part with queries in `[start, end)`, or `null`. */
  get_rect_within_q_segment(start: number, end: number): AttnRectangle | null {
    return this.within({ q0: checkInteger(start, 'start'), q1: checkInteger(end, 'end') })
  }

  /** The part with keys in `[start, end)`, or `null`. */
  get_rect_within_k_segment(start: number, end: number): AttnRectangle | null {
    return this.within({ k0: checkInteger(start, 'start'), k1: checkInteger(end, 'end') })
  }

  /** Query row where the left edge turns from straight to diagonal, `k0 - d0`. */
  intersection_q_id_on_left_boundary(): number {
    return this.k.start - this.d.start
  }

  /** Query row where the right edge turns from diagonal to straight, `k1 - 1 - d1`. */
  intersection_q_id_on_right_boundary(): number {
    return this.k.end - 1 - this.d.end
  }

  /** Whether neither edge of the band cuts the rectangle. A single cell is of all four types. */
  is_full(): boolean {
    return this.isLeftOpen() && this.isRightOpen()
  }

  is_causal(): boolean {
    return this.isLeftOpen() && this.isRightAligned()
  }

  is_inv_causal(): boolean {
    return this.isLeftAligned() && this.isRightOpen()
  }

  is_bi_causal(): boolean {
    return this.isLeftAligned() && this.isRightAligned()
  }

  /** At most three slices with exactly these cells, ascending by query. */
  to_qk_range_mask_type(): SliceTuple[] {
    return bandToSlices(this.toBand()).map(slice => [
      slice.q_range,
      slice.k_range,
      to_int_type(slice.mask_type),
    ])
  }

  /** Number of cells, in constant time. */
  area(): number {
    return bandArea(this.toBand())
  }

  equals(other: unknown): boolean {
    return (
      other instanceof AttnRectangle &&
      this.q.equals(other.q) &&
      this.k.equals(other.k) &&
      this.d.equals(other.d)
    )
  }

  /** A key for maps: equal for equal rectangles only. */
  hash(): string {
    return this.toString()
  }

  /**
   * `"[0, 10) x [0, 15) x [-5, 5)"`; the end of the band is inclusive although it is printed like the others.
   */
  toString(): string {
    return `${this.q} x ${this.k} x ${this.d}`
  }

  private within(bounds: { q0?: number; q1?: number; k0?: number; k1?: number }): AttnRectangle | null {
    const { q0 = this.q.start, q1 = this.q.end, k0 = this.k.start, k1 = this.k.end } = bounds
    return AttnRectangle.fromBand({
      q0: Math.max(q0, this.q.start),
      q1: Math.min(q1, this.q.end),
      k0: Math.max(k0, this.k.start),
      k1: Math.min(k1, this.k.end),
      lo: this.d.start,
      hi: this.d.end,
    })
  }

  private isLeftOpen(): boolean {
    return this.d.start <= this.k.start - (this.q.end - 1)
  }

  private isRightOpen(): boolean {
    return this.d.end >= this.k.end - 1 - this.q.start
  }

  private isLeftAligned(): boolean {
    return this.d.start === this.k.start - this.q.start
  }

  private isRightAligned(): boolean {
    return this.d.end === this.k.end - this.q.end
  }
}

function frozen(range: RangeLike): AttnRange {
  return Object.freeze(AttnRange.from_range(range, true))
}

/** Both ends without a check of their order. */
function ends(range: RangeLike): NaiveRange {
  return Array.isArray(range) ? (range as NaiveRange) : AttnRange.from_range(range).to_naive_range()
}
