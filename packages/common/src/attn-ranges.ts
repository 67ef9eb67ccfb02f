import { AttnRange, checkInteger, type RangeLike } from './attn-range.js'
import { check_valid_cu_seqlens } from './cu-seqlens.js'
import { ArgumentError, IndexError, InvalidRangeError, ShapeError } from './errors/index.js'

/** What every function that wants a list of ranges accepts. */
export type RangesLike = AttnRanges | Iterable<RangeLike>

/**
 * An ordered list of ranges, which may overlap and need not be sorted.
 *
 * Ranges are copied on their way in. `append`, `insert`, `extend`, `pop`, `set` and `setSlice` change the
 * list; every other method leaves it alone and returns something new. The algebra takes O(n log n).
 */
export class AttnRanges {
  private readonly ranges: AttnRange[] = []

  /**
   * A list of copies of the given ranges: pairs, `AttnRange`s, or another list.
   * @param check - also refuse range objects that were made invalid by assignment; pairs are always checked
   * @throws {@link ArgumentError} and {@link InvalidRangeError}, naming `ranges[i]`
   */
  static from_ranges(ranges: RangesLike, check = false): AttnRanges {
    if (typeof (ranges as Partial<Iterable<RangeLike>> | null)?.[Symbol.iterator] !== 'function') {
      throw new ArgumentError({
        argument: 'ranges',
        expected: 'an iterable of AttnRange or [start, end] pairs',
        actual: ranges,
      })
    }
    const list = new AttnRanges()
    let i = 0
    for (const range of ranges) list.ranges.push(copyRange(range, `ranges[${i++}]`, check))
    return list
  }

  /**
   * Samples that follow each other: `[0, 2, 5]` gives `[[0, 2), [2, 5)]`.
   * @throws {@link ArgumentError} unless the sums begin with 0, increase strictly and end with `seqlen`
   */
  static from_cu_seqlens(cu_seqlens: ArrayLike<number>, seqlen: number): AttnRanges {
    check_valid_cu_seqlens(cu_seqlens, seqlen)
    const list = new AttnRanges()
    for (let i = 1; i < cu_seqlens.length; i++) list.append([cu_seqlens[i - 1]!, cu_seqlens[i]!])
    return list
  }

  append(range: RangeLike, check = false): void {
    this.ranges.push(copyRange(range, 'range', check))
  }

  /** Inserts before position `index`, which may be negative and is cut to the list. */
  insert(index: number, range: RangeLike, check = false): void {
    checkInteger(index, 'index')
    this.ranges.splice(index, 0, copyRange(range, 'range', check))
  }

  extend(ranges: RangesLike, check = false): void {
    // A loop: spreading a very long list into push would exhaust the stack.
    for (const range of AttnRanges.from_ranges(ranges, check)) this.ranges.push(range)
  }

  /**
   * Removes and returns the range at `index`, by default the last one.
   * @throws {@link IndexError} on an empty list, and outside of it
   */
  pop(index = -1): AttnRange {
    return this.ranges.splice(this.position(index), 1)[0]!
  }

  /**
   * The range itself, not a copy. A negative index counts from the end.
   * @throws {@link IndexError} outside of the list
   */
  at(index: number): AttnRange {
    return this.ranges[this.position(index)]!
  }

  /** Replaces the range at `index`. @throws {@link IndexError} outside of the list */
  set(index: number, range: RangeLike): void {
    this.ranges[this.position(index)] = copyRange(range, 'range', false)
  }

  /** A list of copies of the ranges in `[start, stop)`, as `Array.prototype.slice` counts. */
  slice(start?: number, stop?: number): AttnRanges {
    return AttnRanges.from_ranges(this.ranges.slice(start, stop))
  }

  /**
   * Replaces the ranges at `[start, stop)`.
   * @throws {@link IndexError} unless `0 <= start <= stop <= length`
   * @throws {@link ShapeError} unless there are `stop - start` new ranges
   */
  setSlice(start: number, stop: number, ranges: RangesLike): void {
    if (checkInteger(start, 'start') < 0 || checkInteger(stop, 'stop') < start || stop > this.length) {
      const expected = `0 <= start <= stop <= ${this.length}`
      throw new IndexError({ argument: 'start, stop', expected, actual: [start, stop] })
    }
    const added = AttnRanges.from_ranges(ranges)
    if (added.length !== stop - start) {
      throw new ShapeError({ argument: 'ranges', expected: `${stop - start} ranges`, actual: added.length })
    }
    for (let i = start; i < stop; i++) this.ranges[i] = added.ranges[i - start]!
  }

  [Symbol.iterator](): IterableIterator<AttnRange> {
    return this.ranges.values()
  }

  get length(): number {
    return this.ranges.length
  }

  /** Number of ranges, same as `length`. */
  get size(): number {
    return this.ranges.length
  }

  is_empty(): boolean {
    return this.ranges.length === 0
  }

  /** Sum of all lengths. Positions in several ranges count several times. */
  get total_seqlen(): number {
    let total = 0
    for (const range of this.ranges) total += range.seqlen
    return total
  }

  /** Length of the longest range, 0 for an empty list. */
  get max_seqlen(): number {
    let max = 0
    for (const range of this.ranges) max = Math.max(max, range.seqlen)
    return max
  }

  /** Smallest start. @throws {@link ArgumentError} for an empty list */
  get start(): number {
    let min = this.first('start').start
    for (const range of this.ranges) min = Math.min(min, range.start)
    return min
  }

  /** Greatest end. @throws {@link ArgumentError} for an empty list */
  get end(): number {
    let max = this.first('end').end
    for (const range of this.ranges) max = Math.max(max, range.end)
    return max
  }

  /** All starts and ends, sorted, each once. */
  get points(): number[] {
    const points = new Set<number>()
    for (const { start, end } of this.ranges) points.add(start).add(end)
    return [...points].sort((a, b) => a - b)
  }

  /** Whether every range has `start <= end`. */
  is_valid(): boolean {
    return this.ranges.every(range => range.is_valid_close())
  }

  /** @throws {@link InvalidRangeError} naming the first range with `start > end` */
  check_valid(): void {
    const i = this.ranges.findIndex(range => !range.is_valid_close())
    if (i < 0) return
    throw new InvalidRangeError({
      argument: `ranges[${i}]`,
      expected: 'start <= end',
      actual: this.ranges[i],
    })
  }

  /** The ranges that are not empty. */
  clear_empty(): AttnRanges {
    return AttnRanges.from_ranges(this.ranges.filter(range => !range.is_empty()))
  }

  clone(): AttnRanges {
    return AttnRanges.from_ranges(this)
  }

  to_naive_ranges(): [start: number, end: number][] {
    return this.ranges.map(range => range.to_naive_range())
  }

  /**
   * Starts and ends in turn, `[2 * length]`: the rows of an int32 `[length, 2]`.
   * @throws {@link InvalidRangeError} for a position that int32 cannot hold
   */
  to_int32_array(): Int32Array {
    const array = new Int32Array(2 * this.length)
    this.ranges.forEach(({ start, end }, i) => {
      array.set([start, end], 2 * i)
      if (array[2 * i] === start && array[2 * i + 1] === end) return
      throw new InvalidRangeError({
        argument: `ranges[${i}]`,
        expected: 'positions that fit into int32',
        actual: `[${start}, ${end})`,
      })
    })
    return array
  }

  /** Sorted by start; ranges of equal start keep their order. */
  sort(): AttnRanges {
    return AttnRanges.from_ranges(this.ranges.toSorted((a, b) => a.start - b.start))
  }

  /** The union, ascending: ranges that overlap or touch become one. An isolated empty range survives. */
  merge(): AttnRanges {
    this.check_valid()
    const merged = new AttnRanges()
    let last: AttnRange | undefined
    for (const range of this.sort()) {
      if (last !== undefined && range.start <= last.end) last.end = Math.max(last.end, range.end)
      else {
        merged.ranges.push(range)
        last = range
      }
    }
    return merged
  }

  /**
   * Moves every start down and every end up to a multiple of `split_alignment`, then merges.
   * @throws {@link ArgumentError} unless `split_alignment` is an integer `>= 1`
   */
  merge_with_split_alignment(split_alignment: number): AttnRanges {
    const a = checkInteger(split_alignment, 'split_alignment', 1)
    const aligned = this.ranges.map(
      ({ start, end }) => new AttnRange(Math.floor(start / a) * a, Math.ceil(end / a) * a),
    )
    return AttnRanges.from_ranges(aligned).merge()
  }

  /** Whether starts never decrease. */
  is_sorted(): boolean {
    return this.ranges.every((range, i) => i === 0 || this.ranges[i - 1]!.start <= range.start)
  }

  /** Whether each range begins behind the end of the one before, with a gap between them. */
  is_merged(): boolean {
    return this.ranges.every((range, i) => i === 0 || this.ranges[i - 1]!.end < range.start)
  }

  is_non_overlap(): boolean {
    return this.intersect_size() === 0
  }

  /** Whether the ranges follow each other without a gap from 0 to `seqlen`. */
  is_cu_seqlens(seqlen: number): boolean {
    let end = 0
    for (const range of this.ranges) {
      if (range.start !== end) return false
      end = range.end
    }
    return end === seqlen
  }

  /** The cut points, `[length + 1]`. @throws {@link ArgumentError} unless `is_cu_seqlens(seqlen)` */
  to_cu_seqlens(seqlen: number): number[] {
    if (!this.is_cu_seqlens(seqlen)) {
      throw new ArgumentError({
        argument: 'ranges',
        expected: `ranges that follow each other from 0 to seqlen ${seqlen}`,
        actual: this,
      })
    }
    return [0, ...this.ranges.map(range => range.end)]
  }

  /** The parts inside of `[start, end)`, without empty ones. A bound left out does not cut. */
  truncate(start?: number, end?: number): AttnRanges {
    return AttnRanges.from_ranges(this.ranges.map(range => range.truncate(start, end))).clear_empty()
  }

  /**
   * Walks the list in order and cuts it into lists of exactly `chunk_size` positions; the last may hold
   * fewer.
   * @param check - refuse ranges that overlap
   * @throws {@link ArgumentError} unless `chunk_size` is an integer `>= 1`, and for overlap when `check`
   */
  chunk(chunk_size: number, check = true): AttnRanges[] {
    checkInteger(chunk_size, 'chunk_size', 1)
    this.check_valid()
    if (check && !this.is_non_overlap()) {
      throw new ArgumentError({
        argument: 'ranges',
        expected: 'ranges that do not overlap',
        actual: this,
        hint: 'Call merge() first, or pass check = false.',
      })
    }
    const chunks: AttnRanges[] = []
    let room = 0
    for (const { start, end } of this.ranges) {
      for (let from = start; from < end; ) {
        if (room === 0) {
          chunks.push(new AttnRanges())
          room = chunk_size
        }
        const to = Math.min(end, from + room)
        chunks.at(-1)!.append([from, to])
        room -= to - from
        from = to
      }
    }
    return chunks
  }

  /**
   * Where `range` lies when the merged ranges of this list are put one behind the other.
   * @param _is_self_merged - accepted for compatibility; whether the list is merged is found out anyway
   * @returns the local range, and the merged range that contains `range`
   * @throws {@link IndexError} for an empty list
   * @throws {@link ArgumentError} unless `range` lies inside of one merged range
   */
  make_range_local(range: RangeLike, _is_self_merged = false): [local: AttnRange, target: AttnRange] {
    const merged = this.merged()
    const inner = copyRange(range, 'range', true)
    return locate(merged.ranges, merged.prefixSeqlens(), inner, 'range')
  }

  /**
   * `make_range_local` of each range of `other`, in order.
   * @throws {@link IndexError} for an empty list
   * @throws {@link ArgumentError} naming `other[i]`, unless it lies inside of one merged range
   */
  make_ranges_local(other: AttnRanges, _is_self_merged = false): AttnRanges {
    const local = new AttnRanges()
    const merged = this.merged()
    const prefix = merged.prefixSeqlens()
    other.ranges.forEach((range, i) => {
      local.ranges.push(locate(merged.ranges, prefix, range, `other[${i}]`)[0])
    })
    return local
  }

  /**
   * Positions of this list that are not in `other`: merged, ascending, without empty ranges.
   * The two flags are accepted for compatibility; whether the lists are merged is found out anyway.
   */
  find_hole_ranges(other: AttnRanges, _is_self_merged = false, _is_other_merged = false): AttnRanges {
    const holes = new AttnRanges()
    const removed = other.clear_empty().merged().ranges
    let j = 0
    for (const { start, end } of this.merged()) {
      let from = start
      while (j < removed.length && removed[j]!.end <= from) j++
      for (let i = j; i < removed.length && removed[i]!.start < end; i++) {
        if (from < removed[i]!.start) holes.append([from, removed[i]!.start])
        from = Math.max(from, removed[i]!.end)
      }
      if (from < end) holes.append([from, end])
    }
    return holes
  }

  /**
   * Positions that are in both lists: merged, ascending, without empty ranges.
   * @param is_self_merged - take this list as it is: each of its ranges is cut on its own, in order, and none
   *   are joined
   */
  find_overlap_ranges(other: AttnRanges, is_self_merged = false, _is_other_merged = false): AttnRanges {
    this.check_valid()
    const overlap = new AttnRanges()
    const kept = other.merged().ranges
    for (const { start, end } of is_self_merged ? this : this.merged()) {
      for (
        let i = firstIndex(kept, range => range.end > start);
        i < kept.length && kept[i]!.start < end;
        i++
      ) {
        const common = [Math.max(start, kept[i]!.start), Math.min(end, kept[i]!.end)] as const
        if (common[0] < common[1]) overlap.append(common)
      }
    }
    return overlap
  }

  /**
   * How often positions repeat: the sum over all positions of (number of ranges that hold it - 1), at least
   * 0.
   */
  intersect_size(): number {
    return this.total_seqlen - this.merge().total_seqlen
  }

  /** `intersect_size()` of the ranges of both lists, cut to the positions that are in both. */
  intersect_size_with(other: AttnRanges): number {
    const overlap = this.find_overlap_ranges(other)
    const prefix = overlap.prefixSeqlens()
    const countBelow = (position: number) => {
      const i = firstIndex(overlap.ranges, range => range.end > position)
      return prefix[i]! + (i < overlap.length ? Math.max(0, position - overlap.ranges[i]!.start) : 0)
    }
    let total = 0
    for (const ranges of [this.ranges, other.ranges]) {
      for (const { start, end } of ranges) total += countBelow(end) - countBelow(start)
    }
    return total - overlap.total_seqlen
  }

  /** Same as `total_seqlen`: a plain sum, not the size of the union. */
  union_size(): number {
    return this.total_seqlen
  }

  /** Sum of both `total_seqlen`: a plain sum, not the size of the union. */
  union_size_with(other: AttnRanges): number {
    return this.total_seqlen + other.total_seqlen
  }

  equals(other: unknown): boolean {
    return (
      other instanceof AttnRanges &&
      other.length === this.length &&
      this.ranges.every((range, i) => range.equals(other.ranges[i]))
    )
  }

  /** A key for maps: equal for equal lists only. */
  hash(): string {
    return this.toString()
  }

  /** `"[[0, 10), [20, 30)]"`, or `"[[,)]"` for an empty list. */
  toString(): string {
    return this.is_empty() ? '[[,)]' : `[${this.ranges.join(', ')}]`
  }

  /** This list when it is merged already, else the merged one. For reading only. */
  private merged(): AttnRanges {
    this.check_valid()
    return this.is_merged() ? this : this.merge()
  }

  /** `prefix[i]` is the number of positions in the ranges before `i`, `[length + 1]`. */
  private prefixSeqlens(): number[] {
    const prefix = [0]
    for (const range of this.ranges) prefix.push(prefix.at(-1)! + range.seqlen)
    return prefix
  }

  private position(index: number): number {
    const position = index < 0 ? index + this.length : index
    if (Number.isInteger(position) && position >= 0 && position < this.length) return position
    throw new IndexError({
      argument: 'index',
      expected: this.is_empty() ? 'a list that is not empty' : `an index below ${this.length}`,
      actual: index,
    })
  }

  private first(property: string): AttnRange {
    if (!this.is_empty()) return this.ranges[0]!
    throw new ArgumentError({
      argument: 'ranges',
      expected: `at least one range to have a ${property}`,
      actual: this,
    })
  }
}

/** A copy of one range; errors name it as the caller knows it. */
function copyRange(range: RangeLike, argument: string, check: boolean): AttnRange {
  try {
    return AttnRange.from_range(range, check)
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error
    const details = {
      argument,
      expected: error.expected!,
      actual: error.actual,
      hint: error.hint,
      cause: error,
    }
    throw error instanceof InvalidRangeError ? new InvalidRangeError(details) : new ArgumentError(details)
  }
}

/** Finds `range` in the merged ranges and in their concatenation, by binary search. */
function locate(
  merged: readonly AttnRange[],
  prefix: readonly number[],
  range: AttnRange,
  argument: string,
): [local: AttnRange, target: AttnRange] {
  if (merged.length === 0) {
    throw new IndexError({ argument: 'ranges', expected: 'at least one range to look in', actual: merged })
  }
  range.check_valid()
  const index = firstIndex(merged, candidate => candidate.start > range.start) - 1
  const target = merged[index]
  if (target === undefined || !range.is_subrange_of(target)) {
    throw new ArgumentError({
      argument,
      expected: 'a range inside of one merged range of this list',
      actual: range,
    })
  }
  return [range.offset(prefix[index]! - target.start), target.clone()]
}

/** First index whose range fulfils a condition that, once true, stays true; `length` when there is none. */
function firstIndex(ranges: readonly AttnRange[], condition: (range: AttnRange) => boolean): number {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (condition(ranges[middle]!)) high = middle
    else low = middle + 1
  }
  return low
}
