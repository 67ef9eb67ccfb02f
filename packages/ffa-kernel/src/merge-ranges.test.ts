import { InvalidRangeError, ShapeError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { merge_ranges } from './merge-ranges.js'

describe('merge_ranges', () => {
  const outer = [
    [20, 30],
    [10, 20],
    [10, 20],
    [20, 30],
  ]
  const inner = [
    [100, 110],
    [120, 130],
    [140, 150],
    [160, 170],
  ]

  it('groups slices of the same outer range, in a stable order', () => {
    const [merged, sortedOuter, sortedInner, types, rangeMap, count] = merge_ranges(
      outer,
      inner,
      [0, 1, 0, 0],
    )
    expect(merged).toEqual([
      [10, 20],
      [20, 30],
      [0, 0],
      [0, 0],
    ])
    expect(sortedOuter).toEqual([
      [10, 20],
      [10, 20],
      [20, 30],
      [20, 30],
    ])
    expect(sortedInner).toEqual([
      [120, 130],
      [140, 150],
      [100, 110],
      [160, 170],
    ])
    expect(types).toEqual([1, 0, 0, 0])
    expect(rangeMap).toEqual([0, 2, 0, 0])
    expect(count).toBe(2)
  })

  it('takes no types, and no ranges', () => {
    expect(merge_ranges(outer, inner)[3]).toBeNull()
    expect(merge_ranges(outer, inner, 'full')[3]).toEqual([0, 0, 0, 0])
    expect(merge_ranges([], [])).toEqual([[], [], [], null, [], 0])
  })

  it('refuses reversed ranges and unequal counts', () => {
    expect(() => merge_ranges([[2, 1]], [[0, 1]])).toThrow(InvalidRangeError)
    expect(() => merge_ranges(outer, [[0, 1]])).toThrow(ShapeError)
  })
})
