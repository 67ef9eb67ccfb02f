import { type Band, bandArea } from '@magi-attention/common'

/**
 * The band with the cells of both, or `null` when their union is no band. Both must be tight, and have no
 * common cell.
 *
 * The bounds of a tight band are attained, so the least band around two of them has the outermost of their
 * bounds. It holds both; it holds nothing else if and only if its area is the sum of theirs.
 */
export function joinBands(a: Band, b: Band): Band | null {
  const hull: Band = {
    q0: Math.min(a.q0, b.q0),
    q1: Math.max(a.q1, b.q1),
    k0: Math.min(a.k0, b.k0),
    k1: Math.max(a.k1, b.k1),
    lo: Math.min(a.lo, b.lo),
    hi: Math.max(a.hi, b.hi),
  }
  return bandArea(hull) === bandArea(a) + bandArea(b) ? hull : null
}

/**
 * Fewer bands with the same cells: bands that follow each other in the list are joined where they line up
 * by key, then any two of which one continues the rows of the other. The bands must be tight and disjoint.
 * Linear time. Ascending by first query.
 */
export function compactBands(bands: readonly Band[]): Band[] {
  return joinRows(joinNeighbours(bands))
}

function joinNeighbours(bands: readonly Band[]): Band[] {
  const joined: Band[] = []
  for (const band of bands) {
    const last = joined.at(-1)
    const both = last !== undefined && last.k1 === band.k0 ? joinBands(last, band) : null
    if (both === null) joined.push(band)
    else joined[joined.length - 1] = both
  }
  return joined
}

/**
 * Where one band continues another one, its first key is that of the last row above, or the next one.
 * Disjoint bands that end with the same row differ in the first key of that row, so a map finds the one
 * above.
 */
function joinRows(bands: readonly Band[]): Band[] {
  const ascending = bands.toSorted((a, b) => a.q0 - b.q0 || a.k0 - b.k0)
  const joined: (Band | null)[] = []
  /** By row end, then by first key of the last row: a place in `joined`. */
  const open = new Map<number, Map<number, number>>()
  for (const band of ascending) {
    const firstKey = Math.max(band.k0, band.q0 + band.lo)
    const above = open.get(band.q0)
    let current = band
    for (const key of [firstKey, firstKey - 1]) {
      const place = above?.get(key)
      const upper = place === undefined ? null : joined[place]!
      const both = upper === null ? null : joinBands(upper, band)
      if (both === null) continue
      joined[place!] = null
      current = both
      break
    }
    const lastRow = current.q1 - 1
    const ending = open.get(current.q1) ?? new Map<number, number>()
    open.set(current.q1, ending)
    ending.set(Math.max(current.k0, lastRow + current.lo), joined.length)
    joined.push(current)
  }
  return joined.filter(band => band !== null).sort((a, b) => a.q0 - b.q0 || a.k0 - b.k0)
}
