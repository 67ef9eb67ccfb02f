import { describe, expect, it } from 'vitest'
import { type IntervalLists, IntervalListsBuilder } from './interval-lists.js'

function toArrays({ offsets, starts, ends }: IntervalLists): [number, number][][] {
  return Array.from({ length: offsets.length - 1 }, (_, owner) =>
    Array.from({ length: offsets[owner + 1]! - offsets[owner]! }, (_, i): [number, number] => [
      starts[offsets[owner]! + i]!,
      ends[offsets[owner]! + i]!,
    ]),
  )
}

describe('IntervalListsBuilder', () => {
  it('sorts and merges the intervals of each owner, also those that touch', () => {
    const builder = new IntervalListsBuilder(3)
    for (const [owner, start, end] of [
      [2, 5, 8],
      [0, 10, 12],
      [0, 0, 3],
      [2, 0, 5],
      [0, 2, 4],
      [0, 7, 7],
    ] as const) {
      builder.add(owner, start, end)
    }
    expect(toArrays(builder.build())).toEqual([
      [
        [0, 4],
        [10, 12],
      ],
      [],
      [[0, 8]],
    ])
  })

  it('fills the smallest gaps when there are too many', () => {
    const builder = new IntervalListsBuilder(2)
    for (const start of [0, 10, 12, 30, 33]) builder.add(0, start, start + 1)
    builder.add(1, 4, 5)
    expect(toArrays(builder.build(2))).toEqual([
      [
        [0, 13],
        [30, 34],
      ],
      [[4, 5]],
    ])
    expect(toArrays(builder.build(1))[0]).toEqual([[0, 34]])
  })
})
