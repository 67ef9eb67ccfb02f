import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NaiveRange } from '../attn-range.js'
import { ArgumentError, ShapeError } from '../errors/index.js'
import { GroupCastRanges } from './group-cast-ranges.js'

const text = (cast: GroupCastRanges) => [...cast].map(({ range, ranks }) => `${range}{${ranks}}`).join(' ')

describe('GroupCastRanges', () => {
  const wanted: NaiveRange[][] = [
    [],
    [
      [0, 4],
      [8, 10],
    ],
    [[2, 6]],
  ]

  it('splits by the set of ranks that need a piece', () => {
    const cast = new GroupCastRanges(3, wanted)
    expect(text(cast)).toBe('[0, 2){1} [2, 4){1,2} [4, 6){2} [8, 10){1}')
    expect([cast.length, `${cast.at(-1)?.range}`, cast.cp_size]).toEqual([4, '[8, 10)', 3])
  })

  it('cuts at every end, also between ranges of one rank', () => {
    expect(
      text(
        new GroupCastRanges(1, [
          [
            [0, 4],
            [4, 8],
          ],
        ]),
      ),
    ).toBe('[0, 4){0} [4, 8){0}')
    expect(
      text(
        new GroupCastRanges(1, [
          [
            [0, 4],
            [2, 8],
            [3, 3],
          ],
        ]),
      ),
    ).toBe('[0, 2){0} [2, 4){0} [4, 8){0}')
  })

  it('keeps the ranges apart without split', () => {
    expect(text(new GroupCastRanges(3, wanted, false))).toBe('[0, 4){1} [2, 6){2} [8, 10){1}')
  })

  it('wants a list for each rank', () => {
    expect(() => new GroupCastRanges(2, wanted)).toThrow(ShapeError)
    expect(() => new GroupCastRanges(0, [])).toThrow(ArgumentError)
    expect(() => new GroupCastRanges(1, [[[3, 1]]])).toThrow(ArgumentError)
  })

  it('sends each position to exactly the ranks that need it', () => {
    const range = fc.tuple(fc.nat(12), fc.nat(5)).map(([start, size]): NaiveRange => [start, start + size])
    fc.assert(
      fc.property(fc.array(fc.array(range, { maxLength: 4 }), { minLength: 1, maxLength: 5 }), perRank => {
        const pieces = [...new GroupCastRanges(perRank.length, perRank)]
        for (let i = 0; i < 18; i++) {
          const needed = perRank.flatMap((ranges, rank) =>
            ranges.some(([s, e]) => s <= i && i < e) ? [rank] : [],
          )
          const holding = pieces.filter(({ range }) => range.start <= i && i < range.end)
          expect(holding.map(piece => piece.ranks)).toEqual(needed.length === 0 ? [] : [needed])
        }
        expect(pieces.every((piece, i) => i === 0 || pieces[i - 1]!.range.end <= piece.range.start)).toBe(
          true,
        )
      }),
      { numRuns: 1000 },
    )
  })
})
