import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IntervalListsBuilder } from './interval-lists.js'
import { IntervalUnions } from './interval-unions.js'

type Owner = readonly (readonly [start: number, size: number])[]

function unionSize(owners: readonly Owner[]): number {
  const points = new Set<number>()
  for (const [start, size] of owners.flat()) for (let i = 0; i < size; i++) points.add(start + i)
  return points.size
}

const owner = fc.array(fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 12 })), { maxLength: 4 })

describe('IntervalUnions', () => {
  it('knows the sizes before and after any sequence of exchanges', () => {
    fc.assert(
      fc.property(
        fc.array(owner, { minLength: 9, maxLength: 9 }),
        fc.array(fc.tuple(fc.nat(8), fc.nat(8)), { maxLength: 12 }),
        (owners, exchanges) => {
          const builder = new IntervalListsBuilder(9)
          owners.forEach((intervals, i) => {
            for (const [start, size] of intervals) builder.add(i, start, start + size)
          })
          const groupOf = Int32Array.from({ length: 9 }, (_, i) => i % 3)
          const unions = new IntervalUnions(builder.build(), groupOf, 3, 3)
          const expected = (group: number) => unionSize(owners.filter((_, i) => groupOf[i] === group))
          expect([...unions.sizes]).toEqual([0, 1, 2].map(expected))
          for (const [a, b] of exchanges) {
            const [groupA, groupB] = [groupOf[a]!, groupOf[b]!]
            if (groupA === groupB) continue
            const after = [unions.sizeAfter(groupA, a, b), unions.sizeAfter(groupB, b, a)]
            groupOf[a] = groupB
            groupOf[b] = groupA
            expect(after).toEqual([expected(groupA), expected(groupB)])
            unions.replace(groupA, a, b)
            unions.replace(groupB, b, a)
            expect([...unions.sizes]).toEqual([0, 1, 2].map(expected))
          }
        },
      ),
    )
  })
})
