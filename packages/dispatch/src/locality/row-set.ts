import type { IntervalLists } from './interval-lists.js'

/** A growing set of rows, as sorted intervals that do not touch. */
export class RowSet {
  private starts: number[] = []
  private ends: number[] = []

  /** Adds the rows of one list. */
  add({ offsets, starts, ends }: IntervalLists, list: number): void {
    for (let i = offsets[list]!; i < offsets[list + 1]!; i++) {
      const first = this.firstEndingFrom(starts[i]!)
      let last = first
      let start = starts[i]!
      let end = ends[i]!
      while (last < this.starts.length && this.starts[last]! <= end) {
        start = Math.min(start, this.starts[last]!)
        end = Math.max(end, this.ends[last]!)
        last++
      }
      this.starts.splice(first, last - first, start)
      this.ends.splice(first, last - first, end)
    }
  }

  /** Number of rows of a list that are not in the set; the list's intervals must not overlap. */
  countAdded({ offsets, starts, ends }: IntervalLists, list: number): number {
    let added = 0
    for (let i = offsets[list]!; i < offsets[list + 1]!; i++) {
      const end = ends[i]!
      added += end - starts[i]!
      for (
        let at = this.firstEndingFrom(starts[i]!);
        at < this.starts.length && this.starts[at]! < end;
        at++
      ) {
        added -= Math.min(end, this.ends[at]!) - Math.max(starts[i]!, this.starts[at]!)
      }
    }
    return added
  }

  /** The first interval that ends at the row or behind it. */
  private firstEndingFrom(row: number): number {
    let low = 0
    let high = this.ends.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.ends[middle]! >= row) high = middle
      else low = middle + 1
    }
    return low
  }
}
