import { ArgumentError, IndexError } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { argmax, argmin, argsort, ceil_div, find_factors_in_range, get_factors } from './numbers.js'

describe('ceil_div', () => {
  it('rounds up, exactly for any safe integer', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.integer({ min: 1, max: 2 ** 40 }), (a, b) => {
        const floor = BigInt(a) / BigInt(b)
        const exact = BigInt(a) > floor * BigInt(b) ? floor + 1n : floor
        expect(BigInt(ceil_div(a, b))).toBe(exact)
      }),
    )
  })

  it('refuses what is not whole, and a divisor of zero', () => {
    expect(() => ceil_div(1, 0)).toThrow(/^b: expected a whole number above 0/)
    expect(() => ceil_div(1.5, 2)).toThrow(ArgumentError)
  })
})

describe('get_factors', () => {
  it('lists all divisors in order', () => {
    expect(get_factors(1)).toEqual([1])
    expect(get_factors(12)).toEqual([1, 2, 3, 4, 6, 12])
    expect(get_factors(36)).toEqual([1, 2, 3, 4, 6, 9, 12, 18, 36])
  })

  it('agrees with trial division', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), n => {
        const all = Array.from({ length: n }, (_, index) => index + 1)
        expect(get_factors(n)).toEqual(all.filter(factor => n % factor === 0))
      }),
    )
  })

  it('refuses zero', () => {
    expect(() => get_factors(0)).toThrow(ArgumentError)
  })
})

describe('find_factors_in_range', () => {
  it('includes both ends and keeps multiples only', () => {
    const factors = get_factors(48)
    expect(find_factors_in_range(factors, 4, 16)).toEqual([4, 6, 8, 12, 16])
    expect(find_factors_in_range(factors, 4, 16, 8)).toEqual([8, 16])
    expect(() => find_factors_in_range(factors, 1, 2, 0)).toThrow(ArgumentError)
  })
})

describe('argmin, argmax and argsort', () => {
  it('take the first among equals', () => {
    expect(argmin([3, 1, 1, 2])).toBe(1)
    expect(argmax([3, 1, 3, 2])).toBe(0)
    expect(argsort([3, 1, 3, 2])).toEqual([1, 3, 0, 2])
    expect(argsort([])).toEqual([])
  })

  it('rank by a key', () => {
    const words = ['ccc', 'a', 'bb']
    expect(argmin(words, { key: word => word.length })).toBe(1)
    expect(argmax(words, { key: word => word.length })).toBe(0)
    expect(argsort(words, { key: word => -word.length })).toEqual([0, 2, 1])
  })

  it('refuse an empty list and items without a rank', () => {
    expect(() => argmin([])).toThrow(IndexError)
    expect(() => argmax([])).toThrow(IndexError)
    expect(() => argsort([1, Number.NaN])).toThrow(/^list\[1\]: /)
  })
})
