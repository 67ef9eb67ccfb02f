import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IndexError } from './errors/index.js'
import { perm_idxs2unperm_idxs } from './perm-idxs.js'

describe('perm_idxs2unperm_idxs', () => {
  it('inverts a permutation', () => {
    expect(perm_idxs2unperm_idxs([1, 2, 0, 3])).toEqual([2, 0, 1, 3])
    expect(perm_idxs2unperm_idxs([])).toEqual([])
  })

  it('is its own inverse, and undoes the permutation', () => {
    const permutation = fc
      .integer({ min: 0, max: 30 })
      .chain(n => fc.shuffledSubarray([...Array(n).keys()], { minLength: n }))
    fc.assert(
      fc.property(permutation, perm => {
        const unperm = perm_idxs2unperm_idxs(perm)
        expect(perm_idxs2unperm_idxs(unperm)).toEqual(perm)
        expect(unperm.map(i => perm[i])).toEqual(perm.map((_, i) => i))
      }),
    )
  })

  it('refuses what is no permutation', () => {
    for (const bad of [[0, 2], [0, 0], [-1, 0], [0, 0.5], [Number.NaN]]) {
      expect(() => perm_idxs2unperm_idxs(bad)).toThrow(IndexError)
    }
    expect(() => perm_idxs2unperm_idxs([0, 0])).toThrow(/perm_idxs\[1\]/)
  })
})
