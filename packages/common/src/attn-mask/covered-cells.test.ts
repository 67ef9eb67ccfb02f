import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bandArea } from '../area.js'
import type { Band } from '../rectangle-slices.js'
import { coveredCells } from './covered-cells.js'

const bound = fc.oneof(fc.integer({ min: -9, max: 9 }), fc.constantFrom(-Infinity, Infinity))
const anyBand: fc.Arbitrary<Band> = fc.record({
  q0: fc.nat(6),
  q1: fc.nat(12),
  k0: fc.nat(6),
  k1: fc.nat(12),
  lo: bound,
  hi: bound,
})

describe('coveredCells', () => {
  it('counts the cells of the union', () => {
    fc.assert(
      fc.property(fc.array(anyBand, { maxLength: 5 }), bands => {
        let expected = 0
        for (let i = 0; i < 12; i++) {
          for (let j = 0; j < 12; j++) {
            const isCovered = bands.some(
              ({ q0, q1, k0, k1, lo, hi }) =>
                i >= q0 && i < q1 && j >= k0 && j < k1 && j - i >= lo && j - i <= hi,
            )
            if (isCovered) expected++
          }
        }
        expect(coveredCells(bands)).toEqual({ cells: expected, isExact: true })
      }),
      { numRuns: 2000 },
    )
  })

  it('says when the number is an estimate, which is close', () => {
    const size = 2 ** 20
    const causal = { q0: 0, q1: size, k0: 0, k1: size, lo: Number.NEGATIVE_INFINITY, hi: 0 }
    const { cells, isExact } = coveredCells([causal, { ...causal, k1: size / 2 }], { maxWork: 512 })
    expect(isExact).toBe(false)
    expect(cells / bandArea(causal)).toBeCloseTo(1, 3)
  })

  it('stays exact within the given work', () => {
    const square = {
      q0: 0,
      q1: 10,
      k0: 0,
      k1: 10,
      lo: Number.NEGATIVE_INFINITY,
      hi: Number.POSITIVE_INFINITY,
    }
    const bands = [square, { ...square, q0: 5, q1: 15 }]
    expect(coveredCells(bands, { maxWork: 12 })).toEqual({ cells: 150, isExact: true })
    expect(coveredCells(bands, { maxWork: 11 }).isExact).toBe(false)
  })
})
