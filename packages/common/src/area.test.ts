import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bandArea, sliceArea } from './area.js'
import { ATTN_MASK_TYPES, type AttnMaskType } from './attn-mask-type.js'
import { ArgumentError } from './errors/index.js'
import type { Band } from './rectangle-slices.js'

const infinity = Number.POSITIVE_INFINITY

function countCells({ q0, q1, k0, k1, lo, hi }: Band): number {
  let count = 0
  for (let q = q0; q < q1; q++) for (let k = k0; k < k1; k++) if (lo <= k - q && k - q <= hi) count++
  return count
}

describe('bandArea', () => {
  it('counts the cells of any small band', () => {
    const edge = fc.integer({ min: -4, max: 14 })
    const diagonal = fc.oneof(fc.integer({ min: -16, max: 16 }), fc.constantFrom(-infinity, infinity))
    const band = fc.record({ q0: edge, q1: edge, k0: edge, k1: edge, lo: diagonal, hi: diagonal })
    fc.assert(
      fc.property(band, band => {
        expect(bandArea(band)).toBe(countCells(band))
      }),
      { numRuns: 5000 },
    )
  })

  it('is exact up to 2^53', () => {
    const big = fc.integer({ min: 1, max: 2 ** 26 })
    const diagonal = fc.integer({ min: -(2 ** 27), max: 2 ** 27 })
    fc.assert(
      fc.property(big, big, diagonal, diagonal, (sq, sk, lo, hi) => {
        expect(BigInt(bandArea({ q0: 0, q1: sq, k0: 0, k1: sk, lo, hi }))).toBe(exactArea(sq, sk, lo, hi))
      }),
      { numRuns: 1000 },
    )
    const side = 2 ** 40
    expect(bandArea({ q0: 0, q1: side, k0: 0, k1: side, lo: -1, hi: 1 })).toBe(3 * side - 2)
    expect(bandArea({ q0: 7, q1: 8, k0: 0, k1: 2 ** 52 + 1, lo: -infinity, hi: infinity })).toBe(2 ** 52 + 1)
  })

  it('is 0 for bands without cells', () => {
    const box = { q0: 0, q1: 4, k0: 0, k1: 4 }
    expect(bandArea({ ...box, lo: 2, hi: 1 })).toBe(0)
    expect(bandArea({ ...box, lo: infinity, hi: infinity })).toBe(0)
    expect(bandArea({ ...box, lo: -infinity, hi: -infinity })).toBe(0)
    expect(bandArea({ ...box, lo: 4, hi: 9 })).toBe(0)
    expect(bandArea({ ...box, q1: -3, lo: 0, hi: 0 })).toBe(0)
  })

  it('refuses what is not an integer', () => {
    expect(() => bandArea({ q0: 0, q1: 4, k0: 0, k1: 4, lo: 0, hi: Number.NaN })).toThrow(ArgumentError)
    expect(() => bandArea({ q0: 0.5, q1: 4, k0: 0, k1: 4, lo: 0, hi: 0 })).toThrow(ArgumentError)
  })
})

describe('sliceArea', () => {
  it.each<[number, number, AttnMaskType, number]>([
    [3, 5, 'full', 15],
    [3, 5, 'causal', 12],
    [3, 5, 'inv_causal', 12],
    [3, 5, 'bi_causal', 9],
    [5, 3, 'causal', 6],
    [5, 3, 'inv_causal', 6],
    [5, 3, 'bi_causal', 0],
    [4, 4, 'bi_causal', 4],
    [0, 3, 'full', 0],
  ])('of %i queries and %i keys, %s, is %i', (sq, sk, type, area) => {
    expect(sliceArea([7, 7 + sq], [2, 2 + sk], type)).toBe(area)
  })

  it('follows the formulas of the mask types', () => {
    fc.assert(
      fc.property(fc.nat(2000), fc.nat(2000), fc.nat(3), (sq, sk, code) => {
        const causal = sk >= sq ? (sq * (2 * sk - sq + 1)) / 2 : (sk * (sk + 1)) / 2
        const expected = [sq * sk, causal, causal, Math.max(0, sk - sq + 1) * sq]
        if (sq === 0 || sk === 0) expected.fill(0)
        expect(sliceArea([3, 3 + sq], [9, 9 + sk], ATTN_MASK_TYPES[code]!)).toBe(expected[code])
      }),
    )
  })
})

/** Cells with `k - q <= hi` minus cells with `k - q < lo`, in exact integers. */
function exactArea(sq: number, sk: number, lo: number, hi: number): bigint {
  if (lo > hi) return 0n
  const triangle = (x: bigint) => (x > 0n ? (x * (x + 1n)) / 2n : 0n)
  const upTo = (d: number) => {
    const [a, q, k] = [BigInt(d) + 1n, BigInt(sq), BigInt(sk)]
    return triangle(a + q - 1n) - triangle(a - 1n) - triangle(a + q - 1n - k) + triangle(a - 1n - k)
  }
  return upTo(hi) - upTo(lo - 1)
}
