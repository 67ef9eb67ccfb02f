import { type Band, bandArea, tightenBand } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { disjointBands, subtractBand } from './disjoint-bands.js'
import { compactBands, joinBands } from './join-bands.js'

const ends = fc
  .tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 12 }))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
const diagonal = fc.integer({ min: -14, max: 14 })
const anyBand = fc
  .record({
    q: ends,
    k: ends,
    lo: fc.oneof(fc.constant(Number.NEGATIVE_INFINITY), diagonal),
    hi: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), diagonal),
  })
  .map(({ q, k, lo, hi }): Band => ({ q0: q[0], q1: q[1], k0: k[0], k1: k[1], lo, hi }))
const tightBand = anyBand.map(tightenBand).filter(band => band !== null)

/** Cells as `q * 20 + k`, with repetitions, ascending. */
function cells(bands: readonly Band[]): number[] {
  const found: number[] = []
  for (const { q0, q1, k0, k1, lo, hi } of bands) {
    for (let q = q0; q < q1; q++) {
      for (let k = k0; k < k1; k++) if (lo <= k - q && k - q <= hi) found.push(q * 20 + k)
    }
  }
  return found.sort((a, b) => a - b)
}

const areTight = (bands: readonly Band[]) => bands.every(band => expect(tightenBand(band)).toEqual(band))
const full = (q0: number, q1: number, k0: number, k1: number): Band =>
  tightenBand({ q0, q1, k0, k1, lo: Number.NEGATIVE_INFINITY, hi: Number.POSITIVE_INFINITY })!

describe('subtractBand', () => {
  it('leaves the cells of one band that are not in the other', () => {
    fc.assert(
      fc.property(tightBand, tightBand, (a, b) => {
        const rest = subtractBand(a, b)
        const removed = new Set(cells([b]))
        expect(cells(rest)).toEqual(cells([a]).filter(cell => !removed.has(cell)))
        expect(rest.length).toBeLessThanOrEqual(6)
        areTight(rest)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('disjointBands', () => {
  it('covers each cell of the union once', () => {
    fc.assert(
      fc.property(fc.array(anyBand, { maxLength: 8 }), bands => {
        const disjoint = disjointBands(bands)
        expect(cells(disjoint)).toEqual([...new Set(cells(bands))])
        areTight(disjoint)
      }),
      { numRuns: 1000 },
    )
  })

  it('leaves bands alone that are disjoint already', () => {
    const bands = [full(4, 8, 0, 4), full(0, 4, 0, 4), full(0, 4, 4, 8)]
    expect(disjointBands(bands)).toEqual(bands)
    expect(disjointBands([...bands, full(0, 8, 0, 8)])).toEqual([full(0, 8, 0, 8)])
  })
})

describe('joinBands', () => {
  it('joins a full and a causal band that line up', () => {
    const causal = tightenBand({ q0: 2, q1: 6, k0: 2, k1: 6, lo: Number.NEGATIVE_INFINITY, hi: 0 })!
    expect(joinBands(full(2, 6, 0, 2), causal)).toEqual({ q0: 2, q1: 6, k0: 0, k1: 6, lo: -5, hi: 0 })
    expect(joinBands(full(2, 6, 0, 1), causal)).toBeNull()
    expect(joinBands(full(3, 6, 0, 2), causal)).toBeNull()
  })

  it('joins two bands if and only if their union is one', () => {
    fc.assert(
      fc.property(tightBand, tightBand, (a, b) => {
        const [rest] = subtractBand(b, a)
        if (rest === undefined) return
        const both = joinBands(a, rest)
        if (both !== null) expect(cells([both])).toEqual(cells([a, rest]))
      }),
      { numRuns: 2000 },
    )
    // A band cut in two at any row or column is joined again.
    fc.assert(
      fc.property(tightBand, fc.integer({ min: 1, max: 11 }), fc.boolean(), (band, at, byRow) => {
        const above = tightenBand(byRow ? { ...band, q1: at } : { ...band, k1: at })
        const below = tightenBand(byRow ? { ...band, q0: at } : { ...band, k0: at })
        if (above === null || below === null || bandArea(above) === bandArea(band)) return
        if (bandArea(above) + bandArea(below) === bandArea(band))
          expect(joinBands(above, below)).toEqual(band)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('compactBands', () => {
  it('keeps the cells', () => {
    fc.assert(
      fc.property(fc.array(anyBand, { maxLength: 8 }), bands => {
        const disjoint = disjointBands(bands)
        const compact = compactBands(disjoint)
        expect(cells(compact)).toEqual(cells(disjoint))
        expect(compact.length).toBeLessThanOrEqual(disjoint.length)
        areTight(compact)
      }),
      { numRuns: 1000 },
    )
  })

  it('puts a grid of pieces together again', () => {
    const causal: Band = { q0: 0, q1: 12, k0: 0, k1: 12, lo: -11, hi: 0 }
    const grid = [0, 3, 6, 9].flatMap(q =>
      [0, 3, 6, 9].flatMap(k => tightenBand({ ...causal, q0: q, q1: q + 3, k0: k, k1: k + 3 }) ?? []),
    )
    expect(grid).toHaveLength(10)
    expect(compactBands(grid)).toEqual([causal])
    expect(compactBands([])).toEqual([])
  })
})
