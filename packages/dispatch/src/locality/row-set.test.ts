import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IntervalListsBuilder } from './interval-lists.js'
import { RowSet } from './row-set.js'

describe('RowSet', () => {
  it('counts the rows of a list that are new', () => {
    const interval = fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 9 }))
    fc.assert(
      fc.property(fc.array(fc.array(interval, { maxLength: 4 }), { maxLength: 8 }), lists => {
        const builder = new IntervalListsBuilder(lists.length)
        lists.forEach((list, i) => {
          for (const [start, length] of list) builder.add(i, start, start + length)
        })
        const built = builder.build()
        const set = new RowSet()
        const known = new Set<number>()
        lists.forEach((list, i) => {
          const rows = new Set(list.flatMap(([start, n]) => Array.from({ length: n }, (_, j) => start + j)))
          expect(set.countAdded(built, i)).toBe([...rows].filter(row => !known.has(row)).length)
          set.add(built, i)
          for (const row of rows) known.add(row)
          expect(set.countAdded(built, i)).toBe(0)
        })
      }),
      { numRuns: 300 },
    )
  })
})
