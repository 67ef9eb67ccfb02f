import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  check_valid_cu_seqlens,
  cu_seqlens2seqlens,
  is_valid_cu_seqlens,
  seqlens2cu_seqlens,
} from './cu-seqlens.js'
import { ArgumentError } from './errors/index.js'

describe('is_valid_cu_seqlens', () => {
  it('wants 0, strictly increasing sums, and the length', () => {
    expect(is_valid_cu_seqlens([], 7)).toBe(true)
    expect(is_valid_cu_seqlens([0], 0)).toBe(true)
    expect(is_valid_cu_seqlens([0, 2, 5], 5)).toBe(true)
    expect(is_valid_cu_seqlens(Int32Array.of(0, 2, 5), 5)).toBe(true)
    for (const bad of [[1, 5], [0, 2, 4], [0, 2, 2, 5], [0, 3, 2, 5], [0], [0, 2.5, 5]]) {
      expect(is_valid_cu_seqlens(bad, 5)).toBe(false)
      expect(() => check_valid_cu_seqlens(bad, 5)).toThrow(ArgumentError)
    }
    expect(() => check_valid_cu_seqlens([0, 2, 5], 5)).not.toThrow()
  })
})

describe('seqlens2cu_seqlens', () => {
  it('sums up', () => {
    expect(seqlens2cu_seqlens([5, 4, 3, 2, 1])).toEqual([0, 5, 9, 12, 14, 15])
    expect(seqlens2cu_seqlens([])).toEqual([0])
    expect(cu_seqlens2seqlens([0])).toEqual([])
    expect(cu_seqlens2seqlens([])).toEqual([])
  })

  it('is undone by cu_seqlens2seqlens', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(100)), seqlens => {
        expect(cu_seqlens2seqlens(seqlens2cu_seqlens(seqlens))).toEqual(seqlens)
      }),
    )
  })

  it('refuses what is no length', () => {
    expect(() => seqlens2cu_seqlens([1, -1])).toThrow('seqlens[1]')
    expect(() => seqlens2cu_seqlens([1.5])).toThrow(ArgumentError)
    expect(() => cu_seqlens2seqlens([0, 3, 2])).toThrow('cu_seqlens[2]')
    expect(() => cu_seqlens2seqlens([1, 3])).toThrow('cu_seqlens[0]')
    expect(() => cu_seqlens2seqlens([-1, 3])).toThrow('cu_seqlens[0]')
  })
})
