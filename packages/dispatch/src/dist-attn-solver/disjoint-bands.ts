import { type Band, find_doubly_covered, intersectBands, tightenBand } from '@magi-attention/common'

/**
 * Tight bands without a common cell that cover what the given bands cover: a mask is the union of its slices.
 *
 * Bands that are disjoint already come back as they are, tight, which takes O(n log n). Otherwise each band
 * is cut by those before it that share rows with it.
 *
 * @throws `ArgumentError` for bounds that are not integers (`lo` and `hi` may be infinite)
 */
export function disjointBands(bands: Iterable<Band>): Band[] {
  const tight: Band[] = []
  for (const band of bands) {
    const tightBand = tightenBand(band)
    if (tightBand !== null) tight.push(tightBand)
  }
  if (find_doubly_covered(tight).length === 0) return tight

  // Wide bands first: they stay whole, and the narrow ones that they contain vanish.
  tight.sort((a, b) => a.q0 - b.q0 || b.q1 - a.q1 || b.k1 - b.k0 - (a.k1 - a.k0))
  const disjoint: Band[] = []
  let active: Band[] = []
  for (const band of tight) {
    active = active.filter(other => other.q1 > band.q0)
    let rest = [band]
    for (const other of active) {
      if (other.q0 >= band.q1 || other.k0 >= band.k1 || other.k1 <= band.k0) continue
      rest = rest.flatMap(piece => subtractBand(piece, other))
      if (rest.length === 0) break
    }
    for (const piece of rest) {
      disjoint.push(piece)
      active.push(piece)
    }
  }
  return disjoint
}

/**
 * The cells of `a` that are not in `b`, as at most six tight bands without a common cell. Both must be tight.
 *
 * `b` is the intersection of six half-planes. What lies outside of the first is a band; the rest is cut by
 * the second, and so on.
 */
export function subtractBand(a: Band, b: Band): Band[] {
  if (tightenBand(intersectBands(a, b)) === null) return [a]
  const pieces: Band[] = []
  let rest: Band = a
  const cut = (outside: Partial<Band>, inside: Partial<Band>): void => {
    const piece = tightenBand(intersectBands(rest, { ...everything, ...outside }))
    if (piece === null) return
    pieces.push(piece)
    rest = intersectBands(rest, { ...everything, ...inside })
  }
  cut({ q1: b.q0 }, { q0: b.q0 })
  cut({ q0: b.q1 }, { q1: b.q1 })
  cut({ k1: b.k0 }, { k0: b.k0 })
  cut({ k0: b.k1 }, { k1: b.k1 })
  cut({ hi: b.lo - 1 }, { lo: b.lo })
  cut({ lo: b.hi + 1 }, { hi: b.hi })
  return pieces
}

const everything: Band = {
  q0: Number.MIN_SAFE_INTEGER,
  q1: Number.MAX_SAFE_INTEGER,
  k0: Number.MIN_SAFE_INTEGER,
  k1: Number.MAX_SAFE_INTEGER,
  lo: Number.NEGATIVE_INFINITY,
  hi: Number.POSITIVE_INFINITY,
}
