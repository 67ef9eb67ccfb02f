import { type Band, intersectBands, sliceToBand, type TypedSlice, tightenBand } from './rectangle-slices.js'

/** Two slices with a common cell. */
export interface DoubleCover {
  /** Positions of the two slices in the given list, ascending. */
  readonly slices: readonly [first: number, second: number]
  /** One cell, query and key, that both cover. */
  readonly cell: readonly [q: number, k: number]
}

/**
 * Finds cells that more than one slice covers. The list is empty if and only if every cell is covered at most
 * once.
 *
 * It names, for each slice that has to go until the rest is disjoint, one other slice that it meets, so it
 * has less than `n` entries even when all pairs of slices meet.
 *
 * A sweep over the queries in the manner of Shamos and Hoey (1976): slices that hold the current row are kept
 * ordered by key, and only neighbours are tested, each test in constant time. Edges move by at most one key
 * from row to row, hence slices without a common cell never change their order, and of those that meet two
 * are neighbours before they do. O(n log n) steps, plus moves in the ordered array: O(n a) words in the worst
 * case, with `a` slices in one row.
 *
 * @throws {@link ArgumentError} for bands or ranges that are not made of integers, and for unknown mask types
 */
export function find_doubly_covered(slices: Iterable<Band | TypedSlice>): DoubleCover[] {
  const bands = Array.from(slices, slice =>
    tightenBand('q0' in slice ? slice : sliceToBand(slice.q_range, slice.k_range, slice.mask_type)),
  )
  const order = bands.flatMap((tight, i) => (tight === null ? [] : [i]))
  const band = (i: number): Band => bands[i]!
  const ascending = order.toSorted((a, b) => band(a).q0 - band(b).q0)
  const leaving = order.toSorted((a, b) => band(a).q1 - band(b).q1)
  const found: DoubleCover[] = []
  const dropped = new Set<number>()
  /** Slices that hold the current row, by key. */
  const active: number[] = []

  /** Whether two slices meet; reports it, too. */
  const meet = (a: number | undefined, b: number | undefined): boolean => {
    if (a === undefined || b === undefined) return false
    const common = tightenBand(intersectBands(band(a), band(b)))
    if (common === null) return false
    found.push({
      slices: a < b ? [a, b] : [b, a],
      cell: [common.q0, Math.max(common.k0, common.q0 + common.lo)],
    })
    return true
  }

  /** Number of active slices whose first key in `row` is below `key`. */
  const rank = (row: number, key: number): number => {
    let low = 0
    let high = active.length
    while (low < high) {
      const middle = (low + high) >> 1
      const { k0, lo } = band(active[middle]!)
      if (Math.max(k0, row + lo) < key) low = middle + 1
      else high = middle
    }
    return low
  }
  const firstKey = (i: number, row: number): number => Math.max(band(i).k0, row + band(i).lo)

  const remove = (i: number): void => {
    const row = band(i).q1 - 1
    const at = rank(row, firstKey(i, row))
    active.splice(at, 1)
    // The slices on both sides are neighbours now. One of two that meet has to go, until two do not.
    while (at > 0 && at < active.length && meet(active[at - 1], active[at])) {
      dropped.add(active[at]!)
      active.splice(at, 1)
    }
  }

  let gone = 0
  for (const i of ascending) {
    const row = band(i).q0
    for (; gone < leaving.length && band(leaving[gone]!).q1 <= row; gone++) {
      if (!dropped.has(leaving[gone]!)) remove(leaving[gone]!)
    }
    const at = rank(row, firstKey(i, row))
    if (meet(active[at - 1], i) || meet(active[at], i)) dropped.add(i)
    else active.splice(at, 0, i)
  }
  // Those that leave after the last arrival become neighbours, too.
  for (; gone < leaving.length; gone++) {
    if (!dropped.has(leaving[gone]!)) remove(leaving[gone]!)
  }
  return found
}
