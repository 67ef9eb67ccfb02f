import { ArgumentError, InvalidRangeError } from './errors/index.js'

/** A half-open range written as a pair: `[start, end]` stands for `[start, end)`. */
export type NaiveRange = readonly [start: number, end: number]

/** What every function that wants one range accepts. */
export type RangeLike = AttnRange | NaiveRange

/**
 * @internal Returns `value` when it is a safe integer of at least `min`, and throws an `ArgumentError`
 *   otherwise.
 */
export function checkInteger(value: unknown, argument: string, min = Number.NEGATIVE_INFINITY): number {
  if (Number.isSafeInteger(value) && (value as number) >= min) return (value as number) + 0 // turns -0 into 0
  const expected = min === Number.NEGATIVE_INFINITY ? 'an integer' : `an integer >= ${min}`
  throw new ArgumentError({ argument, expected, actual: value })
}

/**
 * A half-open range `[start, end)` of token positions. Empty ranges and negative positions are legal.
 *
 * `start` and `end` are plain fields: assigning them later is not validated, so a range can become invalid;
 * `is_valid_close`, `is_valid_open` and `check_valid` report it. No method changes its range.
 */
export class AttnRange {
  start: number
  end: number

  /**
   * @param start - first position, an integer
   * @param end - one past the last position, an integer `>= start`
   * @throws {@link ArgumentError} for a position that is not an integer
   * @throws {@link InvalidRangeError} for `start > end`
   */
  constructor(start: number, end: number) {
    this.start = checkInteger(start, 'start')
    this.end = checkInteger(end, 'end')
    this.check_valid()
  }

  /**
   * A new range of a pair, or a copy of a range.
   * @param check - also refuse a range object that was made invalid by assignment; pairs are always checked
   * @throws {@link ArgumentError} for anything but a range or a pair of integers
   * @throws {@link InvalidRangeError} for `start > end`
   */
  static from_range(range: RangeLike, check = false): AttnRange {
    if (range instanceof AttnRange) {
      if (check) range.check_valid()
      return range.clone()
    }
    if (!Array.isArray(range) || range.length !== 2) {
      throw new ArgumentError({
        argument: 'range',
        expected: 'an AttnRange or a pair of integers',
        actual: range,
        hint: 'Pass [start, end].',
      })
    }
    return new AttnRange(range[0], range[1])
  }

  /** Number of positions, `end - start`. */
  get seqlen(): number {
    return this.end - this.start
  }

  /** Same as `seqlen`. */
  get length(): number {
    return this.seqlen
  }

  to_naive_range(): [start: number, end: number] {
    return [this.start, this.end]
  }

  /** An independent copy, also of a range that was made invalid by assignment. */
  clone(): AttnRange {
    const copy = new AttnRange(0, 0)
    copy.start = this.start
    copy.end = this.end
    return copy
  }

  /** The range moved by `offset` positions. */
  offset(offset: number): AttnRange {
    checkInteger(offset, 'offset')
    return new AttnRange(this.start + offset, this.end + offset)
  }

  /**
   * The part inside `[start, end)`; a bound left out does not cut.
   * Nothing left gives the empty range at the greater of both starts: `[9, 15)` cut at end 5 is `[9, 9)`.
   */
  truncate(start?: number, end?: number): AttnRange {
    const from = start === undefined ? this.start : Math.max(this.start, checkInteger(start, 'start'))
    const to = end === undefined ? this.end : Math.min(this.end, checkInteger(end, 'end'))
    return new AttnRange(from, Math.max(from, to))
  }

  /** The common part. Disjoint ranges give the empty range at the smaller of both ends. */
  intersect(other: AttnRange): AttnRange {
    const start = Math.max(this.start, other.start)
    const end = Math.min(this.end, other.end)
    return new AttnRange(Math.min(start, end), end)
  }

  intersect_size(other: AttnRange): number {
    return Math.max(0, Math.min(this.end, other.end) - Math.max(this.start, other.start))
  }

  /**
   * One range when one contains the other or both overlap, otherwise copies of both.
   * Touching ranges are not joined, and an empty range is kept beside the other one.
   */
  union(other: AttnRange): AttnRange[] {
    if (this.is_empty() || other.is_empty() || !this.is_overlap_with(other))
      return [this.clone(), other.clone()]
    return [new AttnRange(Math.min(this.start, other.start), Math.max(this.end, other.end))]
  }

  /** Sum of the lengths of `union(other)`. */
  union_size(other: AttnRange): number {
    return this.seqlen + other.seqlen - this.intersect_size(other)
  }

  /** `other` without `this` (mind the direction): the non-empty pieces, ascending. */
  diff_by(other: AttnRange): AttnRange[] {
    if (this.is_empty() || this.intersect_size(other) === 0) return other.is_empty() ? [] : [other.clone()]
    const pieces: AttnRange[] = []
    if (other.start < this.start) pieces.push(new AttnRange(other.start, this.start))
    if (this.end < other.end) pieces.push(new AttnRange(this.end, other.end))
    return pieces
  }

  is_subrange_of(other: AttnRange): boolean {
    return this.start >= other.start && this.end <= other.end
  }

  /** Touching ranges do not overlap; an empty range strictly inside of another one does. */
  is_overlap_with(other: AttnRange): boolean {
    return this.start < other.end && this.end > other.start
  }

  is_empty(): boolean {
    return this.start === this.end
  }

  /** `start <= end`, of this range or of the values given instead. */
  is_valid_close(start: number = this.start, end: number = this.end): boolean {
    return start <= end
  }

  /** `start < end`, of this range or of the values given instead. */
  is_valid_open(start: number = this.start, end: number = this.end): boolean {
    return start < end
  }

  /** @throws {@link InvalidRangeError} unless `start <= end` */
  check_valid(start: number = this.start, end: number = this.end): void {
    if (this.is_valid_close(start, end)) return
    throw new InvalidRangeError({
      argument: 'range',
      expected: 'start <= end',
      actual: `[${start}, ${end})`,
    })
  }

  equals(other: unknown): boolean {
    return other instanceof AttnRange && this.start === other.start && this.end === other.end
  }

  /** A key for maps: equal for equal ranges only. */
  hash(): string {
    return this.toString()
  }

  /** `"[2, 5)"` */
  toString(): string {
    return `[${this.start}, ${this.end})`
  }
}
