import { ArgumentError, IndexError, ShapeError } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  flatten_nested_list,
  is_list_type_all,
  is_list_value_all,
  is_list_value_any,
  perm_idxs2unperm_idxs,
  transpose_matrix,
  wrap_to_list,
} from './lists.js'

describe('flatten_nested_list', () => {
  it('joins lists of any depth', () => {
    expect(flatten_nested_list([1, [2, [3, []]], [[[4]]]])).toEqual([1, 2, 3, 4])
    expect(flatten_nested_list([])).toEqual([])
    expect(() => flatten_nested_list('abc' as never)).toThrow(ArgumentError)
  })
})

describe('perm_idxs2unperm_idxs', () => {
  it('inverts a permutation', () => {
    expect(perm_idxs2unperm_idxs([1, 2, 0, 3])).toEqual([2, 0, 1, 3])
    expect(perm_idxs2unperm_idxs([])).toEqual([])
  })

  it('undoes any permutation', () => {
    const permutation = fc.integer({ min: 1, max: 40 }).chain(count => {
      const identity = Array.from({ length: count }, (_, index) => index)
      return fc.shuffledSubarray(identity, { minLength: count, maxLength: count })
    })
    fc.assert(
      fc.property(permutation, perm => {
        const unperm = perm_idxs2unperm_idxs(perm)
        expect(unperm.map(index => perm[index])).toEqual(perm.map((_, index) => index))
        expect(perm_idxs2unperm_idxs(unperm)).toEqual(perm)
      }),
    )
  })

  it.each([[[0, 0]], [[1, 2]], [[-1, 0]], [[0, 1.5]], [[0, Number.NaN]]])('refuses %j', perm => {
    expect(() => perm_idxs2unperm_idxs(perm)).toThrow(IndexError)
  })
})

describe('wrap_to_list', () => {
  it('wraps, repeats and copies', () => {
    expect(wrap_to_list('a')).toEqual(['a'])
    expect(wrap_to_list('a', 3)).toEqual(['a', 'a', 'a'])
    expect(wrap_to_list(['a'], 3)).toEqual(['a', 'a', 'a'])
    const list = [1, 2]
    expect(wrap_to_list(list, 2)).toEqual(list)
    expect(wrap_to_list(list, 2)).not.toBe(list)
  })

  it('refuses a list that cannot be repeated', () => {
    expect(() => wrap_to_list([1, 2], 3)).toThrow(ShapeError)
    expect(() => wrap_to_list(1, -1)).toThrow(ArgumentError)
  })
})

describe('is_list_value_all', () => {
  it('compares with a value or with the first item', () => {
    expect(is_list_value_all([1, 1], { val: 1 })).toBe(true)
    expect(is_list_value_all([1, 2], { val: 1 })).toBe(false)
    expect(is_list_value_all([2, 2], { just_same: true })).toBe(true)
    expect(is_list_value_all([2, 3], { just_same: true })).toBe(false)
    expect(is_list_value_all([undefined], { val: undefined })).toBe(true)
  })

  it('answers allow_empty for an empty list', () => {
    expect(is_list_value_all([], { val: 1 })).toBe(false)
    expect(is_list_value_all([], { val: 1, allow_empty: true })).toBe(true)
  })

  it('refuses both ways at once, and neither', () => {
    expect(() => is_list_value_all([1], { val: 1, just_same: true })).toThrow(ArgumentError)
    expect(() => is_list_value_all([1], {})).toThrow(/^just_same: expected either val or just_same/)
  })
})

describe('is_list_value_any', () => {
  it('finds a value', () => {
    expect(is_list_value_any([1, 2], { val: 2 })).toBe(true)
    expect(is_list_value_any([1, 2], { val: 3 })).toBe(false)
    expect(is_list_value_any([], { val: 3 })).toBe(false)
    expect(is_list_value_any([], { val: 3, allow_empty: true })).toBe(true)
  })
})

describe('is_list_type_all', () => {
  it('tests for a type, a class, or the type of the first item', () => {
    expect(is_list_type_all([1, 2], { _type: 'number' })).toBe(true)
    expect(is_list_type_all([1, 'a'], { _type: 'number' })).toBe(false)
    expect(is_list_type_all([new TypeError()], { _type: Error })).toBe(true)
    expect(is_list_type_all(['a', 'b'], { just_same: true })).toBe(true)
    expect(is_list_type_all([new Error(), new Map()], { just_same: true })).toBe(false)
    expect(is_list_type_all([], { _type: 'number' })).toBe(false)
    expect(is_list_type_all([], { just_same: true, allow_empty: true })).toBe(true)
  })

  it('refuses both ways at once, and neither', () => {
    expect(() => is_list_type_all([1], { _type: 'number', just_same: true })).toThrow(ArgumentError)
    expect(() => is_list_type_all([1], {})).toThrow(ArgumentError)
  })
})

describe('transpose_matrix', () => {
  it('turns rows into columns', () => {
    expect(
      transpose_matrix([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    ).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ])
    expect(transpose_matrix([])).toEqual([])
  })

  it('refuses rows of different length', () => {
    expect(() => transpose_matrix([[1, 2], [3]])).toThrow(/^matrix\[1\]: expected 2 items/)
  })
})
