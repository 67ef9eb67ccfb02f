/** For each of a number of owners, disjoint ascending half-open intervals that do not touch. */
export interface IntervalLists {
  /** Owner `i` has the intervals `offsets[i]` to `offsets[i + 1] - 1`, `[num_owners + 1]`. */
  readonly offsets: Int32Array
  readonly starts: Float64Array
  readonly ends: Float64Array
}

/** Collects intervals in any order, then merges those of each owner. */
export class IntervalListsBuilder {
  private readonly owners: number[] = []
  private readonly starts: number[] = []
  private readonly ends: number[] = []

  constructor(private readonly numOwners: number) {}

  /** Adds `[start, end)` unless it is empty. */
  add(owner: number, start: number, end: number): void {
    if (start >= end) return
    this.owners.push(owner)
    this.starts.push(start)
    this.ends.push(end)
  }

  /**
   * @param maxPerOwner - owners with more intervals get their smallest gaps filled until they have so many;
   *   default: none is filled
   */
  build(maxPerOwner = Number.POSITIVE_INFINITY): IntervalLists {
    const order = this.byOwnerAndStart()
    const offsets = new Int32Array(this.numOwners + 1)
    const starts = new Float64Array(order.length)
    const ends = new Float64Array(order.length)
    let count = 0
    let next = 0
    for (let owner = 0; owner < this.numOwners; owner++) {
      const first = count
      for (; next < order.length && this.owners[order[next]!] === owner; next++) {
        const start = this.starts[order[next]!]!
        const end = this.ends[order[next]!]!
        if (count > first && start <= ends[count - 1]!) ends[count - 1] = Math.max(ends[count - 1]!, end)
        else {
          starts[count] = start
          ends[count++] = end
        }
      }
      if (count - first > maxPerOwner) count = fillGaps(starts, ends, first, count, maxPerOwner)
      offsets[owner + 1] = count
    }
    return { offsets, starts: starts.slice(0, count), ends: ends.slice(0, count) }
  }

  private byOwnerAndStart(): Int32Array {
    const counts = new Int32Array(this.numOwners + 1)
    for (const owner of this.owners) counts[owner + 1]!++
    for (let owner = 0; owner < this.numOwners; owner++) counts[owner + 1]! += counts[owner]!
    const order = new Int32Array(this.owners.length)
    const filled = counts.slice()
    for (let i = 0; i < order.length; i++) order[filled[this.owners[i]!]!++] = i
    for (let owner = 0; owner < this.numOwners; owner++) {
      const first = counts[owner]!
      const last = counts[owner + 1]!
      if (last - first > 1) order.subarray(first, last).sort((a, b) => this.starts[a]! - this.starts[b]!)
    }
    return order
  }
}

/** Joins intervals `first` to `last - 1` over their smallest gaps until `max` are left; returns their end. */
function fillGaps(
  starts: Float64Array,
  ends: Float64Array,
  first: number,
  last: number,
  max: number,
): number {
  const gaps = Array.from({ length: last - first - 1 }, (_, i) => first + i)
  const size = (i: number) => starts[i + 1]! - ends[i]!
  const kept = gaps
    .sort((a, b) => size(b) - size(a) || a - b)
    .slice(0, max - 1)
    .sort((a, b) => a - b)
  let at = first
  for (const gap of kept) {
    ends[at] = ends[gap]!
    starts[++at] = starts[gap + 1]!
  }
  ends[at] = ends[last - 1]!
  return at + 1
}
