import type { IntervalLists } from './interval-lists.js'

const NONE = 2 ** 31 - 1

/**
 * Sizes of the unions of all intervals in each of several groups of owners, and what they would be if one
 * owner were replaced by another.
 *
 * Each group has a list of its intervals by their start, with the size of the union and the greatest end of
 * those before each place. A replacement is evaluated by walking on from where the lists differ only until
 * the greatest end is again what it was.
 */
export class IntervalUnions {
  /** Size of each group's union, `[numGroups]`. */
  readonly sizes: Float64Array

  // All intervals by their start; an interval's index there is its id.
  private readonly starts: Float64Array
  private readonly ends: Float64Array
  /** Ids of owner `i`, ascending: `ids[offsets[i]]` to `ids[offsets[i + 1] - 1]`. */
  private readonly ids: Int32Array
  private readonly offsets: Int32Array

  /** Ids of group `g`, ascending, from place `g * stride` on; after the last comes NONE. */
  private readonly lists: Int32Array
  private readonly sizeBefore: Float64Array
  private readonly reachedBefore: Float64Array
  private readonly lengths: Int32Array
  private readonly stride: number
  private readonly scratch: Int32Array

  /**
   * @param groupOf - group of each owner
   * @param groupSize - greatest number of owners in a group
   */
  constructor(intervals: IntervalLists, groupOf: Int32Array, numGroups: number, groupSize: number) {
    const { offsets } = intervals
    const numIntervals = intervals.starts.length
    const byStart = new Int32Array(numIntervals).map((_, i) => i)
    byStart.sort((a, b) => intervals.starts[a]! - intervals.starts[b]! || a - b)
    this.starts = new Float64Array(numIntervals)
    this.ends = new Float64Array(numIntervals)
    this.ids = new Int32Array(numIntervals)
    this.offsets = offsets
    byStart.forEach((interval, id) => {
      this.starts[id] = intervals.starts[interval]!
      this.ends[id] = intervals.ends[interval]!
      this.ids[interval] = id
    })

    const groupOfId = new Int32Array(numIntervals)
    let mostIntervals = 0
    for (let owner = 0; owner < groupOf.length; owner++) {
      mostIntervals = Math.max(mostIntervals, offsets[owner + 1]! - offsets[owner]!)
      for (let i = offsets[owner]!; i < offsets[owner + 1]!; i++) groupOfId[this.ids[i]!] = groupOf[owner]!
    }
    this.stride = groupSize * mostIntervals + 1
    this.lists = new Int32Array(numGroups * this.stride)
    this.sizeBefore = new Float64Array(numGroups * this.stride)
    this.reachedBefore = new Float64Array(numGroups * this.stride)
    this.scratch = new Int32Array(this.stride)
    this.lengths = new Int32Array(numGroups)
    this.sizes = new Float64Array(numGroups)
    groupOfId.forEach((group, id) => {
      this.lists[group * this.stride + this.lengths[group]!++] = id
    })
    for (let group = 0; group < numGroups; group++) this.refresh(group)
  }

  /** Size of a group's union if owner `gone` left it and owner `added` of another group came. */
  sizeAfter(group: number, gone: number, added: number): number {
    const { starts, ends, ids, offsets, lists, sizeBefore, reachedBefore } = this
    const last = group * this.stride + this.lengths[group]!
    let goneNext = offsets[gone]!
    const goneStop = offsets[gone + 1]!
    let addedNext = offsets[added]!
    const addedStop = offsets[added + 1]!
    let goneId = goneNext < goneStop ? ids[goneNext]! : NONE
    let addedId = addedNext < addedStop ? ids[addedNext]! : NONE
    let at = group * this.stride
    let size = 0
    let reached = 0
    for (;;) {
      if (reached === reachedBefore[at]) {
        // Everything is as in the list until the next difference.
        const place = this.placeOf(Math.min(goneId, addedId), at, last)
        size += sizeBefore[place]! - sizeBefore[at]!
        reached = reachedBefore[place]!
        at = place
      }
      let id = lists[at]!
      if (addedId < id) {
        id = addedId
        addedId = ++addedNext < addedStop ? ids[addedNext]! : NONE
      } else if (id === goneId) {
        if (id === NONE) return size
        at++
        goneId = ++goneNext < goneStop ? ids[goneNext]! : NONE
        continue
      } else if (id === NONE) return size
      else at++
      const end = ends[id]!
      if (end > reached) {
        const start = starts[id]!
        size += end - reached
        if (start > reached) size -= start - reached
        reached = end
      }
    }
  }

  /** Replaces owner `gone` of a group by owner `added` of another. */
  replace(group: number, gone: number, added: number): void {
    const { ids, offsets, lists, scratch } = this
    const first = group * this.stride
    const last = first + this.lengths[group]!
    let goneNext = offsets[gone]!
    let next = offsets[added]!
    const stop = offsets[added + 1]!
    let count = 0
    for (let i = first; i < last; i++) {
      const id = lists[i]!
      if (id === ids[goneNext] && goneNext < offsets[gone + 1]!) {
        goneNext++
        continue
      }
      while (next < stop && ids[next]! < id) scratch[count++] = ids[next++]!
      scratch[count++] = id
    }
    while (next < stop) scratch[count++] = ids[next++]!
    for (let i = 0; i < count; i++) lists[first + i] = scratch[i]!
    this.lengths[group] = count
    this.refresh(group)
  }

  /** First place from `low` to `high` whose id is at least `id`. */
  private placeOf(id: number, low: number, high: number): number {
    const { lists } = this
    let from = low
    let to = high
    while (from < to) {
      const middle = (from + to) >> 1
      if (lists[middle]! >= id) to = middle
      else from = middle + 1
    }
    return from
  }

  private refresh(group: number): void {
    const { starts, ends, lists, sizeBefore, reachedBefore } = this
    const first = group * this.stride
    const last = first + this.lengths[group]!
    let size = 0
    let reached = 0
    for (let i = first; i < last; i++) {
      sizeBefore[i] = size
      reachedBefore[i] = reached
      const id = lists[i]!
      const end = ends[id]!
      if (end > reached) {
        const start = starts[id]!
        size += end - reached
        if (start > reached) size -= start - reached
        reached = end
      }
    }
    lists[last] = NONE
    sizeBefore[last] = size
    reachedBefore[last] = reached
    this.sizes[group] = size
  }
}
