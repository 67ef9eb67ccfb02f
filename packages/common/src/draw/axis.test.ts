import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCount, formatShare, formatTokens, tickPositions } from './axis.js'

describe('tickPositions', () => {
  it.each([
    [16, 16, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]],
    [1000, 8, [0, 200, 400, 600, 800, 1000]],
    [12, 4, [0, 5, 10]],
    [4096, 4, [0, 1024, 2048, 3072, 4096]],
    [0, 4, []],
  ])('puts ticks on a length of %i with at most %i steps', (length, count, expected) => {
    expect(tickPositions(length, count)).toEqual(expected)
  })

  it('never gives more steps than asked for, and never fractions', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 40 }), fc.integer({ min: 1, max: 64 }), (length, count) => {
        const ticks = tickPositions(length, count)
        expect(ticks.length).toBeLessThanOrEqual(count + 1)
        expect(ticks.every(Number.isInteger)).toBe(true)
        expect(ticks.at(-1)).toBeLessThanOrEqual(length)
      }),
    )
  })
})

describe('number formats', () => {
  it('shortens round positions only', () => {
    const positions = [0, 7, 1000, 1024, 4096, 10_000, 200_000, 2 ** 20, 3_000_000, 2 ** 30, 12_345]
    expect(positions.map(formatTokens)).toEqual([
      '0',
      '7',
      '1000',
      '1Ki',
      '4Ki',
      '10k',
      '200k',
      '1Mi',
      '3M',
      '1Gi',
      '12345',
    ])
  })

  it('groups digits', () => {
    expect([0, 999, 1000, 1234567].map(formatCount)).toEqual(['0', '999', '1,000', '1,234,567'])
  })

  it('rounds no share to nothing or all', () => {
    const shares = [0, 1e-9, 0.05, 0.32, 0.9951, 0.99999, 1]
    expect(shares.map(formatShare)).toEqual([
      '0 %',
      '< 0.1 %',
      '5.0 %',
      '32 %',
      '99.5 %',
      '> 99.9 %',
      '100 %',
    ])
  })
})
