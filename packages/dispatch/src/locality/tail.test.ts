import { describe, expect, it } from 'vitest'
import { tailLength } from './tail.js'

describe('tailLength', () => {
  it.each([
    ['few chunks', 63 * 5 + 2, 5, 0],
    ['counts that divide into groups', 256 * 16, 16, 0],
    ['counts that divide, into groups after a remainder', 731 * 7 + 3, 7, 3],
    ['prime counts', 257 * 16, 16, 16],
  ])('of %s', (_, numChunks, numRanks, expected) => {
    expect(tailLength(numChunks, numRanks)).toBe(expected)
  })
})
