import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sliceArea } from './area.js'
import { AttnRange, type NaiveRange } from './attn-range.js'
import { AttnRanges } from './attn-ranges.js'
import { AttnRectangle } from './attn-rectangle.js'
import { AttnRectangles } from './attn-rectangles.js'
import { ArgumentError, IndexError, ShapeError } from './errors/index.js'

const mask = () =>
  AttnRectangles.from_ranges(
    [
      [0, 4],
      [4, 8],
      [8, 8],
      [8, 12],
    ],
    [
      [0, 4],
      [0, 8],
      [0, 4],
      [4, 6],
    ],
    ['full', 'causal', 'full', 'bi_causal'],
  )

describe('AttnRectangles', () => {
  it('skips slices without a cell', () => {
    expect(mask().size).toBe(2)
    expect(`${mask()}`).toBe('[[0, 4) x [0, 4) x [-3, 3), [4, 8) x [0, 8) x [-7, 0)]')
    expect(AttnRectangles.from_ranges([[0, 4]], [[3, 3]], [0]).is_empty()).toBe(true)
  })

  it('takes names, codes and a single type', () => {
    const ranges = [
      [0, 4],
      [4, 8],
    ] as const
    const named = AttnRectangles.from_ranges(ranges, ranges, ['causal', 'causal'])
    expect(AttnRectangles.from_ranges(AttnRanges.from_ranges(ranges), ranges, [1, 1]).equals(named)).toBe(
      true,
    )
    expect(AttnRectangles.from_ranges(ranges, ranges, 'causal').equals(named)).toBe(true)
  })

  it('refuses lists that do not pair up, and bad entries', () => {
    expect(() => AttnRectangles.from_ranges([[0, 4]], [], [])).toThrow(ShapeError)
    expect(() => AttnRectangles.from_ranges([[0, 4]], [[0, 4]], [0, 1])).toThrow(ShapeError)
    expect(() => AttnRectangles.from_ranges([[0, 4]], [[0, 4]], [7])).toThrow('mask_types[0]')
    const bad = new AttnRange(0, 4)
    bad.start = 9
    expect(() => AttnRectangles.from_ranges([bad], [[0, 4]], [0], true)).toThrow(ArgumentError)
    expect(() => AttnRectangles.from_ranges([bad], [[0, 4]], [0])).toThrow(ArgumentError)
  })

  it('is a list of copies', () => {
    const list = mask()
    const rectangle = new AttnRectangle([0, 2], [0, 2])
    list.append(rectangle, true)
    list.extend(list, true)
    expect(list.length).toBe(6)
    rectangle.q_range = [7, 8]
    expect(`${list.at(2).q_range}`).toBe('[0, 2)')
    expect(list.at(-1).equals(list.at(2))).toBe(true)
    expect(`${list.slice(2, 3)}`).toBe('[[0, 2) x [0, 2) x [-1, 1)]')
    expect(() => list.at(6)).toThrow(IndexError)
    expect(() => list.append('x' as unknown as AttnRectangle)).toThrow(ArgumentError)
    expect([...list].length).toBe(6)
  })

  it('is compared by content and valid when empty', () => {
    expect(mask().equals(mask().clone())).toBe(true)
    expect(mask().hash()).toBe(mask().hash())
    expect(mask().equals(mask().slice(1))).toBe(false)
    expect([new AttnRectangles().is_valid(), mask().is_valid()]).toEqual([true, true])
    expect(() => mask().check_valid()).not.toThrow()
    expect(new AttnRectangles().area()).toBe(0)
  })

  it('unites its queries and keys', () => {
    expect(mask().get_qo_ranges_union().to_naive_ranges()).toEqual([[0, 8]])
    expect(mask().get_kv_ranges_union().to_naive_ranges()).toEqual([[0, 8]])
    expect([mask().total_seqlen_qo(), mask().total_seqlen_kv()]).toEqual([8, 8])
  })

  it('loses no cell when cut', () => {
    const range = fc.tuple(fc.nat(10), fc.nat(8)).map(([start, size]): NaiveRange => [start, start + size])
    const slice = fc.tuple(range, range, fc.nat(3))
    fc.assert(
      fc.property(fc.array(slice, { maxLength: 6 }), fc.integer({ min: -1, max: 19 }), (slices, at) => {
        const list = AttnRectangles.from_ranges(
          slices.map(([q]) => q),
          slices.map(([, k]) => k),
          slices.map(([, , type]) => type),
        )
        expect(list.area()).toBe(slices.reduce((sum, [q, k, type]) => sum + sliceArea(q, k, type), 0))
        const [above, below] = list.cut_q(at)
        const [left, right] = list.cut_k(at)
        expect(above.area() + below.area()).toBe(list.area())
        expect(left.area() + right.area()).toBe(list.area())
        expect(
          [...above].every(r => r.q_range.end <= at) && [...below].every(r => r.q_range.start >= at),
        ).toBe(true)
        expect(
          [...left].every(r => r.k_range.end <= at) && [...right].every(r => r.k_range.start >= at),
        ).toBe(true)
        expect(list.get_rects_within_q_segment(at, 40).equals(below)).toBe(true)
        expect(list.get_rects_within_k_segment(-9, at).equals(left)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})
