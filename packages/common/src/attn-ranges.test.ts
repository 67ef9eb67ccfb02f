import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AttnRange, type NaiveRange } from './attn-range.js'
import { AttnRanges } from './attn-ranges.js'
import { ArgumentError, IndexError, InvalidRangeError, ShapeError } from './errors/index.js'

const of = (...pairs: NaiveRange[]) => AttnRanges.from_ranges(pairs)
const naive = (ranges: AttnRanges) => ranges.to_naive_ranges()
const invalid = () => {
  const ranges = of([0, 3], [4, 6])
  ranges.at(1).end = 2
  return ranges
}

describe('AttnRanges as a list', () => {
  it('is built of pairs, ranges and lists, and copies them', () => {
    const r = new AttnRange(0, 3)
    const list = AttnRanges.from_ranges([r, [4, 6]])
    const copy = AttnRanges.from_ranges(list)
    r.end = 9
    list.at(1).end = 9
    expect(naive(list)).toEqual([
      [0, 3],
      [4, 9],
    ])
    expect(naive(copy)).toEqual([
      [0, 3],
      [4, 6],
    ])
  })

  it('names the range at fault', () => {
    expect(() => of([0, 3], [5, 2])).toThrow(InvalidRangeError)
    expect(() => of([0, 3], [5, 2])).toThrow(/^ranges\[1\]: /)
    expect(() => of([0, 3], [5, 7.5])).toThrow(/^ranges\[1\]: /)
    expect(() => AttnRanges.from_ranges(7 as unknown as AttnRanges)).toThrow(ArgumentError)
    expect(() => AttnRanges.from_ranges([0, 4] as unknown as AttnRanges)).toThrow(/^ranges\[0\]: /)
  })

  it('grows and shrinks in place', () => {
    const list = new AttnRanges()
    list.append([5, 6])
    list.insert(0, [1, 2])
    list.extend([[7, 8], new AttnRange(9, 9)])
    list.insert(-1, [3, 3])
    expect(naive(list)).toEqual([
      [1, 2],
      [5, 6],
      [7, 8],
      [3, 3],
      [9, 9],
    ])
    expect(`${list.pop()}`).toBe('[9, 9)')
    expect(`${list.pop(0)}`).toBe('[1, 2)')
    list.extend(list)
    expect(list.length).toBe(6)
    expect(() => new AttnRanges().pop()).toThrow(IndexError)
    expect(() => list.pop(6)).toThrow(IndexError)
  })

  it('checks on the way in when asked', () => {
    const bad = invalid().at(1)
    const list = new AttnRanges()
    expect(() => list.append(bad, true)).toThrow(InvalidRangeError)
    expect(() => list.insert(0, bad, true)).toThrow(InvalidRangeError)
    expect(() => list.extend([bad], true)).toThrow(InvalidRangeError)
    expect(list.length).toBe(0)
    list.append(bad)
    expect(list.is_valid()).toBe(false)
  })

  it('is indexed, sliced and replaced', () => {
    const list = of([0, 1], [2, 3], [4, 5])
    expect(`${list.at(-1)}`).toBe('[4, 5)')
    expect(() => list.at(3)).toThrow(IndexError)
    expect(() => list.at(-4)).toThrow(IndexError)
    expect(() => list.at(0.5)).toThrow(IndexError)
    expect(naive(list.slice(1))).toEqual([
      [2, 3],
      [4, 5],
    ])
    list.set(0, [7, 8])
    list.setSlice(1, 3, [
      [8, 9],
      [9, 10],
    ])
    expect(naive(list)).toEqual([
      [7, 8],
      [8, 9],
      [9, 10],
    ])
    expect(() => list.setSlice(0, 2, [[1, 2]])).toThrow(ShapeError)
    expect(() =>
      list.setSlice(2, 4, [
        [1, 2],
        [1, 2],
      ]),
    ).toThrow(IndexError)
    expect([...list].map(r => r.start)).toEqual([7, 8, 9])
    expect(list.size).toBe(3)
  })

  it('is compared and printed by content', () => {
    expect(`${of([0, 10], [20, 30])}`).toBe('[[0, 10), [20, 30)]')
    expect(`${new AttnRanges()}`).toBe('[[,)]')
    expect(of([0, 1]).equals(of([0, 1]))).toBe(true)
    expect(of([0, 1]).equals(of([0, 1], [0, 1]))).toBe(false)
    expect(of([0, 1]).equals([[0, 1]])).toBe(false)
    expect(of([0, 1]).hash()).toBe(of([0, 1]).hash())
  })

  it('reports ranges made invalid by assignment', () => {
    expect(invalid().is_valid()).toBe(false)
    expect(() => invalid().check_valid()).toThrow(/^ranges\[1\]: /)
    expect(() => invalid().merge()).toThrow(InvalidRangeError)
    expect(() => invalid().find_hole_ranges(of([0, 1]))).toThrow(InvalidRangeError)
    expect(() => invalid().find_overlap_ranges(of([0, 1]), true)).toThrow(InvalidRangeError)
    expect(() => invalid().chunk(2, false)).toThrow(InvalidRangeError)
    expect(() => of([0, 9]).make_ranges_local(invalid())).toThrow(InvalidRangeError)
    expect(() => AttnRanges.from_ranges(invalid(), true)).toThrow(InvalidRangeError)
    expect(of([0, 0]).is_valid()).toBe(true)
  })

  it('knows its sums and ends', () => {
    const list = of([5, 15], [0, 10], [20, 20])
    expect([list.total_seqlen, list.max_seqlen, list.start, list.end]).toEqual([20, 10, 0, 20])
    expect(list.points).toEqual([0, 5, 10, 15, 20])
    expect(naive(list.clear_empty())).toEqual([
      [5, 15],
      [0, 10],
    ])
    const empty = new AttnRanges()
    expect([empty.total_seqlen, empty.max_seqlen, empty.points, empty.is_empty()]).toEqual([0, 0, [], true])
    expect(() => empty.start).toThrow(ArgumentError)
    expect(() => empty.end).toThrow(ArgumentError)
  })

  it('becomes an int32 array', () => {
    expect(of([0, 10], [-3, 4]).to_int32_array()).toEqual(Int32Array.of(0, 10, -3, 4))
    expect(new AttnRanges().to_int32_array()).toHaveLength(0)
    expect(() => of([0, 2 ** 31]).to_int32_array()).toThrow(InvalidRangeError)
  })
})

describe('AttnRanges and cu_seqlens', () => {
  it('converts both ways', () => {
    expect(naive(AttnRanges.from_cu_seqlens([0, 2, 5], 5))).toEqual([
      [0, 2],
      [2, 5],
    ])
    expect(AttnRanges.from_cu_seqlens([], 5).is_empty()).toBe(true)
    expect(() => AttnRanges.from_cu_seqlens([0, 2, 4], 5)).toThrow(ArgumentError)
    expect(of([0, 2], [2, 5]).to_cu_seqlens(5)).toEqual([0, 2, 5])
    expect(new AttnRanges().to_cu_seqlens(0)).toEqual([0])
    expect(() => of([0, 2], [3, 5]).to_cu_seqlens(5)).toThrow(ArgumentError)
    expect(() => new AttnRanges().to_cu_seqlens(1)).toThrow(ArgumentError)
    expect(of([1, 5]).is_cu_seqlens(5)).toBe(false)
  })
})

describe('AttnRanges algebra', () => {
  it('sorts stably', () => {
    expect(naive(of([3, 9], [0, 1], [3, 4]).sort())).toEqual([
      [0, 1],
      [3, 9],
      [3, 4],
    ])
    expect(of([0, 4], [0, 2], [1, 2]).is_sorted()).toBe(true)
    expect(of([1, 4], [0, 2]).is_sorted()).toBe(false)
  })

  it('merges what overlaps or touches', () => {
    expect(naive(of([20, 30], [0, 10], [5, 15]).merge())).toEqual([
      [0, 15],
      [20, 30],
    ])
    expect(naive(of([0, 3], [3, 3], [7, 9]).merge())).toEqual([
      [0, 3],
      [7, 9],
    ])
    expect(naive(of([7, 9], [5, 5]).merge())).toEqual([
      [5, 5],
      [7, 9],
    ])
    expect(of([0, 3], [3, 5]).is_merged()).toBe(false)
    expect(of([0, 3], [4, 5]).is_merged()).toBe(true)
    expect(new AttnRanges().is_merged()).toBe(true)
  })

  it('merges with alignment', () => {
    expect(naive(of([5, 15], [12, 25]).merge_with_split_alignment(10))).toEqual([[0, 30]])
    expect(naive(of([-5, 1], [12, 13]).merge_with_split_alignment(4))).toEqual([
      [-8, 4],
      [12, 16],
    ])
    expect(() => of([0, 1]).merge_with_split_alignment(0)).toThrow(ArgumentError)
  })

  it('truncates', () => {
    expect(naive(of([0, 5], [8, 9], [3, 12]).truncate(4, 8))).toEqual([
      [4, 5],
      [4, 8],
    ])
    expect(naive(of([0, 5], [8, 9]).truncate(4))).toEqual([
      [4, 5],
      [8, 9],
    ])
  })

  it('chunks in the order of the list', () => {
    const chunks = of([1, 2], [4, 12], [13, 15], [16, 19]).chunk(4)
    expect(chunks.map(naive)).toEqual([
      [
        [1, 2],
        [4, 7],
      ],
      [[7, 11]],
      [
        [11, 12],
        [13, 15],
        [16, 17],
      ],
      [[17, 19]],
    ])
    expect(new AttnRanges().chunk(4)).toEqual([])
    expect(() => of([0, 4]).chunk(0)).toThrow(ArgumentError)
    expect(() => of([0, 4], [3, 5]).chunk(2)).toThrow(ArgumentError)
    expect(of([0, 4], [3, 5]).chunk(4, false).map(naive)).toEqual([[[0, 4]], [[3, 5]]])
  })

  it('translates into the concatenation of its merged ranges', () => {
    const list = of([0, 10], [20, 30], [30, 35], [40, 50])
    const [local, target] = list.make_range_local([23, 32])
    expect(local.to_naive_range()).toEqual([13, 22])
    expect(target.to_naive_range()).toEqual([20, 35])
    expect(naive(list.make_ranges_local(of([2, 8], [25, 32], [42, 45])))).toEqual([
      [2, 8],
      [15, 22],
      [27, 30],
    ])
    expect(() => list.make_range_local([8, 12])).toThrow(ArgumentError)
    expect(() => list.make_ranges_local(of([0, 1], [8, 12]))).toThrow(/^other\[1\]: /)
    expect(() => new AttnRanges().make_range_local([0, 1])).toThrow(IndexError)
    expect(() => new AttnRanges().make_ranges_local(of([0, 1]))).toThrow(IndexError)
  })

  it('finds holes and overlaps', () => {
    const a = of([0, 10], [20, 30], [40, 50])
    const b = of([5, 25], [35, 45])
    expect(naive(a.find_hole_ranges(b))).toEqual([
      [0, 5],
      [25, 30],
      [45, 50],
    ])
    expect(naive(a.find_overlap_ranges(b))).toEqual([
      [5, 10],
      [20, 25],
      [40, 45],
    ])
    expect(naive(of([0, 10], [3, 3]).find_overlap_ranges(of([2, 4], [4, 5])))).toEqual([[2, 5]])
  })

  it('keeps the ranges of a list that is taken as merged apart', () => {
    const split = of([0, 4], [4, 8])
    expect(naive(split.find_overlap_ranges(of([2, 6])))).toEqual([[2, 6]])
    expect(naive(split.find_overlap_ranges(of([2, 6]), true))).toEqual([
      [2, 4],
      [4, 6],
    ])
    expect(naive(split.find_hole_ranges(of([2, 3]), true, true))).toEqual([
      [0, 2],
      [3, 8],
    ])
    expect(naive(split)).toEqual([
      [0, 4],
      [4, 8],
    ])
  })

  it('measures repetition', () => {
    expect(of([0, 10], [5, 15], [8, 20], [18, 25], [22, 30]).intersect_size()).toBe(17)
    expect(of([5, 15], [5, 15], [5, 15], [5, 15]).intersect_size()).toBe(30)
    const a = of([0, 10], [15, 25], [30, 40])
    const b = of([5, 20], [22, 35])
    expect(a.intersect_size_with(b)).toBe(18)
    expect(a.union_size_with(b)).toBe(58)
    expect(of([0, 4], [2, 6]).union_size()).toBe(8)
    expect(of([0, 4], [3, 6]).is_non_overlap()).toBe(false)
    expect(of([0, 4], [4, 6]).is_non_overlap()).toBe(true)
  })
})

describe('AttnRanges against counts of positions', () => {
  const anyRanges = fc
    .array(fc.tuple(fc.integer({ min: -3, max: 20 }), fc.nat(6)), { maxLength: 8 })
    .map(pairs => of(...pairs.map(([start, size]): NaiveRange => [start, start + size])))
  const counts = (ranges: Iterable<AttnRange>) => {
    const found = new Map<number, number>()
    for (const { start, end } of ranges)
      for (let i = start; i < end; i++) found.set(i, (found.get(i) ?? 0) + 1)
    return found
  }
  const sorted = (positions: Iterable<number>) => [...positions].sort((a, b) => a - b)
  const covered = (ranges: AttnRanges) => sorted(counts(ranges).keys())
  const isTidy = (ranges: AttnRanges) => ranges.is_merged() && ranges.clear_empty().equals(ranges)

  it('agrees', () => {
    fc.assert(
      fc.property(anyRanges, anyRanges, (a, b) => {
        const [before, beforeOther] = [a.clone(), b.clone()]
        const [inA, inB] = [counts(a), counts(b)]
        const both = [...inA.keys()].filter(i => inB.has(i))
        expect(a.merge().is_merged()).toBe(true)
        expect(covered(a.merge())).toEqual(covered(a))
        const overlap = a.find_overlap_ranges(b)
        expect(isTidy(overlap)).toBe(true)
        expect(covered(overlap)).toEqual(sorted(both))
        expect(covered(a.find_overlap_ranges(b, true))).toEqual(sorted(both))
        const holes = a.find_hole_ranges(b)
        expect(isTidy(holes)).toBe(true)
        expect(covered(holes)).toEqual(sorted([...inA.keys()].filter(i => !inB.has(i))))
        expect(a.intersect_size()).toBe([...inA.values()].reduce((sum, n) => sum + n - 1, 0))
        const repeated = both.reduce((sum, i) => sum + inA.get(i)! + inB.get(i)! - 1, 0)
        expect(a.intersect_size_with(b)).toBe(repeated)
        expect([a.equals(before), b.equals(beforeOther)]).toEqual([true, true])
      }),
      { numRuns: 2000 },
    )
  })

  it('finds the place of every range inside of it, and of no other', () => {
    fc.assert(
      fc.property(
        anyRanges,
        fc.integer({ min: -4, max: 24 }),
        fc.integer({ min: 1, max: 8 }),
        (a, start, size) => {
          fc.pre(!a.is_empty())
          const concatenation = covered(a)
          const wanted = Array.from({ length: size }, (_, i) => start + i)
          const at = concatenation.indexOf(start)
          if (at >= 0 && wanted.every((position, i) => concatenation[at + i] === position)) {
            expect(a.make_range_local([start, start + size])[0].to_naive_range()).toEqual([at, at + size])
          } else {
            expect(() => a.make_range_local([start, start + size])).toThrow(ArgumentError)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('chunks into equal parts that concatenate to the list', () => {
    fc.assert(
      fc.property(anyRanges, fc.integer({ min: 1, max: 9 }), (a, size) => {
        const list = (ranges: Iterable<AttnRange>) =>
          [...ranges].flatMap(r => Array.from({ length: r.seqlen }, (_, i) => r.start + i))
        const chunks = a.chunk(size, false)
        expect(chunks.flatMap(list)).toEqual(list(a))
        chunks.forEach((chunk, i) => {
          const expected = i < chunks.length - 1 ? size : a.total_seqlen - size * (chunks.length - 1)
          expect(chunk.total_seqlen).toBe(expected)
          expect(chunk.total_seqlen).toBeGreaterThan(0)
        })
      }),
    )
  })
})
