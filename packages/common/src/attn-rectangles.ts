import { type AttnMaskType, parse_attn_mask_types } from './attn-mask-type.js'
import { checkInteger } from './attn-range.js'
import { AttnRanges, type RangesLike } from './attn-ranges.js'
import { AttnRectangle } from './attn-rectangle.js'
import { ArgumentError, IndexError, ShapeError } from './errors/index.js'
import { sliceToBand } from './rectangle-slices.js'

/** An ordered list of rectangles: a whole mask. Rectangles are copied on their way in. */
export class AttnRectangles {
  private readonly rectangles: AttnRectangle[] = []

  /** A list of copies of the given rectangles. @throws {@link ArgumentError} for anything else */
  static from(rectangles: Iterable<AttnRectangle>): AttnRectangles {
    const list = new AttnRectangles()
    list.extend(rectangles)
    return list
  }

  /**
   * The rectangles of a mask. Slices without a cell are skipped: empty queries or keys, and `bi_causal` with
   * more queries than keys.
   * @param mask_types - names or codes, one for each slice, or one for all
   * @param check - also refuse range objects that were made invalid by assignment; pairs are always checked
   * @throws {@link ShapeError} for lists of different lengths
   * @throws {@link ArgumentError} for bad ranges or an unknown type
   */
  static from_ranges(
    q_ranges: RangesLike,
    k_ranges: RangesLike,
    mask_types: AttnMaskType | number | ArrayLike<AttnMaskType | number>,
    check = false,
  ): AttnRectangles {
    const queries = AttnRanges.from_ranges(q_ranges, check)
    const keys = AttnRanges.from_ranges(k_ranges, check)
    if (keys.length !== queries.length) {
      throw new ShapeError({
        argument: 'k_ranges',
        expected: `${queries.length} ranges, one for each of q_ranges`,
        actual: keys.length,
      })
    }
    const list = new AttnRectangles()
    parse_attn_mask_types(mask_types, queries.length, 'mask_types').forEach((type, i) => {
      list.add(AttnRectangle.fromBand(sliceToBand(queries.at(i), keys.at(i), type)))
    })
    return list
  }

  append(rectangle: AttnRectangle, check = false): void {
    if (!(rectangle instanceof AttnRectangle)) {
      throw new ArgumentError({ argument: 'rectangle', expected: 'an AttnRectangle', actual: rectangle })
    }
    if (check) rectangle.check_valid()
    this.rectangles.push(rectangle.clone())
  }

  extend(rectangles: Iterable<AttnRectangle>, check = false): void {
    for (const rectangle of [...rectangles]) this.append(rectangle, check)
  }

  /**
   * The rectangle itself, not a copy. A negative index counts from the end.
   * @throws {@link IndexError} outside of the list
   */
  at(index: number): AttnRectangle {
    const rectangle = this.rectangles.at(checkInteger(index, 'index'))
    if (rectangle !== undefined) return rectangle
    throw new IndexError({ argument: 'index', expected: `an index below ${this.size}`, actual: index })
  }

  /** A list of copies of the rectangles in `[start, stop)`, as `Array.prototype.slice` counts. */
  slice(start?: number, stop?: number): AttnRectangles {
    return AttnRectangles.from(this.rectangles.slice(start, stop))
  }

  [Symbol.iterator](): IterableIterator<AttnRectangle> {
    return this.rectangles.values()
  }

  get length(): number {
    return this.rectangles.length
  }

  /** Number of rectangles, same as `length`. */
  get size(): number {
    return this.rectangles.length
  }

  is_empty(): boolean {
    return this.rectangles.length === 0
  }

  is_valid(): boolean {
    return this.rectangles.every(rectangle => rectangle.is_valid())
  }

  /** @throws {@link InvalidRangeError} for the first rectangle that is not valid */
  check_valid(): void {
    for (const rectangle of this.rectangles) rectangle.check_valid()
  }

  clone(): AttnRectangles {
    return AttnRectangles.from(this)
  }

  /** All queries that any rectangle holds, merged. */
  get_qo_ranges_union(): AttnRanges {
    return AttnRanges.from_ranges(this.rectangles.map(rectangle => rectangle.q_range)).merge()
  }

  /** All keys that any rectangle holds, merged. */
  get_kv_ranges_union(): AttnRanges {
    return AttnRanges.from_ranges(this.rectangles.map(rectangle => rectangle.k_range)).merge()
  }

  /** Number of different queries. */
  total_seqlen_qo(): number {
    return this.get_qo_ranges_union().total_seqlen
  }

  /** Number of different keys. */
  total_seqlen_kv(): number {
    return this.get_kv_ranges_union().total_seqlen
  }

  /** The parts of all rectangles above and below query `position`. */
  cut_q(position: number): [above: AttnRectangles, below: AttnRectangles] {
    return cutAll(this, rectangle => rectangle.cut_q(position))
  }

  /** The parts of all rectangles left and right of key `position`. */
  cut_k(position: number): [left: AttnRectangles, right: AttnRectangles] {
    return cutAll(this, rectangle => rectangle.cut_k(position))
  }

  /** The parts of all rectangles with queries in `[start, end)`. */
  get_rects_within_q_segment(start: number, end: number): AttnRectangles {
    const parts = new AttnRectangles()
    for (const rectangle of this) parts.add(rectangle.get_rect_within_q_segment(start, end))
    return parts
  }

  /** The parts of all rectangles with keys in `[start, end)`. */
  get_rects_within_k_segment(start: number, end: number): AttnRectangles {
    const parts = new AttnRectangles()
    for (const rectangle of this) parts.add(rectangle.get_rect_within_k_segment(start, end))
    return parts
  }

  /** Sum of all areas. Cells in several rectangles count several times. */
  area(): number {
    let total = 0
    for (const rectangle of this.rectangles) total += rectangle.area()
    return total
  }

  equals(other: unknown): boolean {
    return (
      other instanceof AttnRectangles &&
      other.size === this.size &&
      this.rectangles.every((rectangle, i) => rectangle.equals(other.rectangles[i]))
    )
  }

  /** A key for maps: equal for equal lists only. */
  hash(): string {
    return this.toString()
  }

  /** `"[[0, 10) x [0, 15) x [-5, 5)]"` */
  toString(): string {
    return `[${this.rectangles.join(', ')}]`
  }

  /** @internal Appends what may be missing. */
  add(rectangle: AttnRectangle | null): void {
    if (rectangle !== null) this.rectangles.push(rectangle)
  }
}

function cutAll(
  rectangles: AttnRectangles,
  cut: (rectangle: AttnRectangle) => [AttnRectangle | null, AttnRectangle | null],
): [AttnRectangles, AttnRectangles] {
  const before = new AttnRectangles()
  const after = new AttnRectangles()
  for (const rectangle of rectangles) {
    const [first, second] = cut(rectangle)
    before.add(first)
    after.add(second)
  }
  return [before, after]
}
