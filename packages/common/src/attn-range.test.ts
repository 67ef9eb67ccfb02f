import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AttnRange } from './attn-range.js'
import { ArgumentError, InvalidRangeError } from './errors/index.js'

const range = (start: number, end: number) => new AttnRange(start, end)
const text = (ranges: AttnRange[]) => ranges.map(String).join(' ')
const anyRange = fc
  .tuple(fc.integer({ min: -6, max: 12 }), fc.nat(6))
  .map(([start, size]) => range(start, start + size))
const positions = (...ranges: AttnRange[]) => {
  const set = new Set<number>()
  for (const { start, end } of ranges) for (let i = start; i < end; i++) set.add(i)
  return [...set].sort((a, b) => a - b)
}

describe('AttnRange', () => {
  it('knows its length and its text', () => {
    const r = range(2, 5)
    expect([r.start, r.end, r.seqlen, r.length]).toEqual([2, 5, 3, 3])
    expect(`${r}`).toBe('[2, 5)')
    expect(r.to_naive_range()).toEqual([2, 5])
  })

  it('allows empty and negative ranges, and refuses start > end', () => {
    expect(range(3, 3).is_empty()).toBe(true)
    expect(range(-4, -1).seqlen).toBe(3)
    expect(() => range(5, 2)).toThrow(InvalidRangeError)
    expect(() => range(5, 2)).toThrow('start <= end, got "[5, 2)"')
  })

  it.each([1.5, Number.NaN, Number.POSITIVE_INFINITY, '1', null, undefined])(
    'refuses the position %s',
    position => {
      expect(() => range(position as number, 3)).toThrow(ArgumentError)
      expect(() => range(-3, position as number)).toThrow(ArgumentError)
    },
  )

  it('does not validate assignments, but reports them when asked', () => {
    const r = range(2, 5)
    r.start = 9
    expect(r.is_valid_close()).toBe(false)
    expect(() => r.check_valid()).toThrow(InvalidRangeError)
    expect(() => AttnRange.from_range(r, true)).toThrow(InvalidRangeError)
    expect(AttnRange.from_range(r).start).toBe(9)
  })

  it('tells closed from open validity, also of other values', () => {
    expect(range(3, 3).is_valid_close()).toBe(true)
    expect(range(3, 3).is_valid_open()).toBe(false)
    expect(range(3, 3).is_valid_open(2)).toBe(true)
    expect(range(3, 5).is_valid_close(6)).toBe(false)
    expect(() => range(3, 5).check_valid(0, -1)).toThrow(InvalidRangeError)
  })

  it('is made of a pair or copied from a range', () => {
    const r = range(1, 4)
    const copy = AttnRange.from_range(r)
    copy.end = 9
    expect(r.end).toBe(4)
    expect(AttnRange.from_range([1, 4]).equals(r)).toBe(true)
    for (const bad of [[1], [1, 2, 3], 7, null, 'ab'] as unknown[]) {
      expect(() => AttnRange.from_range(bad as [number, number])).toThrow(ArgumentError)
    }
  })

  it('is equal to ranges of the same value, never to a pair', () => {
    expect(range(1, 4).equals(range(1, 4))).toBe(true)
    expect(range(1, 4).equals(range(1, 5))).toBe(false)
    expect(range(1, 4).equals([1, 4])).toBe(false)
    expect(range(1, 4).hash()).toBe(range(1, 4).hash())
    expect(range(1, 4).hash()).not.toBe(range(1, 5).hash())
  })

  it('moves', () => {
    expect(`${range(2, 5).offset(-3)}`).toBe('[-1, 2)')
    expect(() => range(2, 5).offset(0.5)).toThrow(ArgumentError)
  })

  it('truncates to an empty range at the greater start', () => {
    expect(`${range(9, 15).truncate(20)}`).toBe('[20, 20)')
    expect(`${range(9, 15).truncate(undefined, 5)}`).toBe('[9, 9)')
    expect(`${range(9, 15).truncate(10, 12)}`).toBe('[10, 12)')
    expect(`${range(9, 15).truncate()}`).toBe('[9, 15)')
  })

  it('intersects to an empty range at the smaller end', () => {
    expect(`${range(0, 3).intersect(range(5, 8))}`).toBe('[3, 3)')
    expect(`${range(5, 8).intersect(range(0, 3))}`).toBe('[3, 3)')
    expect(`${range(0, 6).intersect(range(4, 9))}`).toBe('[4, 6)')
    expect(range(0, 6).intersect_size(range(4, 9))).toBe(2)
  })

  it('unites overlapping ranges, but neither touching nor empty ones', () => {
    expect(text(range(0, 5).union(range(3, 8)))).toBe('[0, 8)')
    expect(text(range(2, 3).union(range(0, 8)))).toBe('[0, 8)')
    expect(text(range(0, 5).union(range(5, 8)))).toBe('[0, 5) [5, 8)')
    expect(text(range(6, 8).union(range(0, 2)))).toBe('[6, 8) [0, 2)')
    expect(text(range(3, 3).union(range(0, 8)))).toBe('[3, 3) [0, 8)')
  })

  it('is taken out of another range by diff_by', () => {
    expect(text(range(4, 7).diff_by(range(2, 9)))).toBe('[2, 4) [7, 9)')
    expect(text(range(2, 9).diff_by(range(4, 7)))).toBe('')
    expect(text(range(0, 3).diff_by(range(3, 5)))).toBe('[3, 5)')
    expect(text(range(0, 4).diff_by(range(3, 5)))).toBe('[4, 5)')
    expect(text(range(1, 1).diff_by(range(3, 5)))).toBe('[3, 5)')
  })

  it('compares empty ranges as documented', () => {
    expect(range(3, 3).is_subrange_of(range(0, 5))).toBe(true)
    expect(range(3, 3).is_subrange_of(range(0, 2))).toBe(false)
    expect(range(3, 3).is_overlap_with(range(0, 5))).toBe(true)
    expect(range(0, 3).is_overlap_with(range(3, 5))).toBe(false)
  })

  it('agrees with sets of positions', () => {
    fc.assert(
      fc.property(anyRange, anyRange, (a, b) => {
        const inA = positions(a)
        const inB = positions(b)
        expect(positions(a.intersect(b))).toEqual(inA.filter(i => inB.includes(i)))
        expect(a.intersect_size(b)).toBe(positions(a.intersect(b)).length)
        expect(positions(...a.union(b))).toEqual(positions(a, b))
        expect(a.union_size(b)).toBe(positions(a, b).length)
        expect(a.union_size(b)).toBe(a.union(b).reduce((sum, piece) => sum + piece.seqlen, 0))
        const rest = a.diff_by(b)
        expect(positions(...rest)).toEqual(inB.filter(i => !inA.includes(i)))
        expect(rest.some(piece => piece.is_empty())).toBe(false)
        expect(positions(a.truncate(b.start, b.end))).toEqual(positions(a.intersect(b)))
        if (!a.is_empty()) expect(a.is_subrange_of(b)).toBe(inA.every(i => inB.includes(i)))
        if (!a.is_empty() && !b.is_empty()) expect(a.is_overlap_with(b)).toBe(a.intersect_size(b) > 0)
      }),
      { numRuns: 2000 },
    )
  })
})
