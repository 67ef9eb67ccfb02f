import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bandArea } from '../area.js'
import { sliceToBand, tightenBand } from '../rectangle-slices.js'
import { bandPolygon, type Point } from './band-polygon.js'

/** Shoelace formula. */
function areaOf(points: readonly Point[]): number {
  const twice = points.reduce((sum, [x, y], i) => {
    const [nextX, nextY] = points[(i + 1) % points.length]!
    return sum + x * nextY - nextX * y
  }, 0)
  return twice / 2
}

describe('bandPolygon', () => {
  it('is the rectangle of a full slice', () => {
    const band = tightenBand(sliceToBand([2, 5], [1, 9], 'full'))!
    expect(bandPolygon(band)).toEqual([
      [1, 2],
      [9, 2],
      [9, 5],
      [1, 5],
    ])
  })

  it('has the area of the band, but for the half cells where a diagonal meets a side', () => {
    const size = fc.integer({ min: 1, max: 40 })
    fc.assert(
      fc.property(size, size, fc.integer({ min: -40, max: 40 }), fc.nat(40), (sq, sk, lo, width) => {
        const band = tightenBand({ q0: 3, q1: 3 + sq, k0: 7, k1: 7 + sk, lo, hi: lo + width })
        if (band === null) return
        expect(Math.abs(areaOf(bandPolygon(band)) - bandArea(band))).toBeLessThanOrEqual(0.5)
      }),
      { numRuns: 2000 },
    )
  })
})
