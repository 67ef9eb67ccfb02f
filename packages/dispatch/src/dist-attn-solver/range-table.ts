import { AttnRanges } from '@magi-attention/common'

/**
 * Lists of ranges, one for each rank, in flat arrays. The list of rank `r` is at the places
 * `[offsets[r], offsets[r + 1])`; it ascends, and neither overlaps nor touches. Meant for reading.
 */
export interface RangeTable {
  /** `[num_rows + 1]` */
  readonly offsets: Float64Array
  /** First position of each range. */
  readonly starts: Float64Array
  /** One past the last position of each range. */
  readonly ends: Float64Array
}

/** Fills a table row by row; ranges of a row must ascend, and those that touch are joined. */
export class RangeTableBuilder {
  private readonly offsets: number[] = [0]
  private readonly starts: number[] = []
  private readonly ends: number[] = []

  /** Adds to the current row. Empty ranges are dropped. */
  push(start: number, end: number): void {
    if (start >= end) return
    const last = this.ends.length - 1
    if (last >= this.offsets.at(-1)! && this.ends[last] === start) this.ends[last] = end
    else {
      this.starts.push(start)
      this.ends.push(end)
    }
  }

  endRow(): void {
    this.offsets.push(this.starts.length)
  }

  build(): RangeTable {
    return {
      offsets: Float64Array.from(this.offsets),
      starts: Float64Array.from(this.starts),
      ends: Float64Array.from(this.ends),
    }
  }
}

/** First place in row `row` whose range ends behind `position`; the end of the row when there is none. */
export function firstEndingAfter(table: RangeTable, row: number, position: number): number {
  let low = table.offsets[row]!
  let high = table.offsets[row + 1]!
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (table.ends[middle]! > position) high = middle
    else low = middle + 1
  }
  return low
}

/** Number of positions in row `row`. */
export function rowSeqlen(table: RangeTable, row: number): number {
  let seqlen = 0
  for (let i = table.offsets[row]!; i < table.offsets[row + 1]!; i++) {
    seqlen += table.ends[i]! - table.starts[i]!
  }
  return seqlen
}

/** Row `row` as `AttnRanges`. */
export function rowRanges(table: RangeTable, row: number): AttnRanges {
  const ranges = new AttnRanges()
  for (let i = table.offsets[row]!; i < table.offsets[row + 1]!; i++) {
    ranges.append([table.starts[i]!, table.ends[i]!])
  }
  return ranges
}
