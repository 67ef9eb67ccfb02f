import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ATTN_MASK_TYPES, type AttnMaskType, from_int_type } from './attn-mask-type.js'
import { AttnRange, type NaiveRange } from './attn-range.js'
import { AttnRectangle } from './attn-rectangle.js'
import { ArgumentError, InvalidRangeError } from './errors/index.js'
import { type Band, sliceToBand } from './rectangle-slices.js'

const window = () => new AttnRectangle([0, 20], [0, 20], [-5, 5])
const slices = (rectangle: AttnRectangle) =>
  rectangle.to_qk_range_mask_type().map(([q, k, type]) => `${q} ${k} ${type}`)

function cellsOf({ q0, q1, k0, k1, lo, hi }: Band): string[] {
  const cells: string[] = []
  for (let q = q0; q < q1; q++)
    for (let k = k0; k < k1; k++) if (lo <= k - q && k - q <= hi) cells.push(`${q},${k}`)
  return cells
}
const cells = (rectangle: AttnRectangle | null) => (rectangle === null ? [] : cellsOf(rectangle.toBand()))

describe('AttnRectangle', () => {
  it('shrinks keys that no query of the band reaches', () => {
    const r = new AttnRectangle([0, 10], [0, 20], [-5, 5])
    expect(`${r}`).toBe('[0, 10) x [0, 15) x [-5, 5)')
    expect(r.area()).toBe(95)
    expect(r.intersection_q_id_on_left_boundary()).toBe(5)
    expect(r.intersection_q_id_on_right_boundary()).toBe(9)
    expect(slices(r)).toEqual(['[0, 5) [0, 10) 1', '[5, 10) [0, 15) 3'])
  })

  it('shrinks the band and the queries', () => {
    const wide = new AttnRectangle([0, 10], [0, 20], [-100, 100])
    expect([`${wide.d_range}`, wide.area()]).toEqual(['[-9, 19)', 200])
    const causal = new AttnRectangle([0, 10], [0, 20], null, 'causal')
    expect([`${causal.d_range}`, causal.area()]).toEqual(['[-9, 10)', 155])
    expect(`${new AttnRectangle([0, 10], [0, 5], null, 1).q_range}`).toBe('[5, 10)')
  })

  it('refuses rectangles without a cell, and unknown types', () => {
    expect(() => new AttnRectangle([0, 5], [0, 3], null, 'bi_causal')).toThrow(ArgumentError)
    expect(() => new AttnRectangle([0, 0], [0, 3])).toThrow(ArgumentError)
    expect(() => new AttnRectangle([0, 5], [0, 3], [3, 9])).toThrow('at least one cell')
    expect(() => new AttnRectangle([0, 5], [0, 3], null, 'bad' as AttnMaskType)).toThrow(ArgumentError)
    expect(() => new AttnRectangle([0, 5], [0, 3], null, 4)).toThrow(ArgumentError)
    expect(() => AttnRectangle.fromBand({ q0: 0, q1: 1, k0: 0, k1: 1, lo: Number.NaN, hi: 0 })).toThrow(
      ArgumentError,
    )
  })

  it('copies what it is given, and its ranges cannot be changed in place', () => {
    const q = new AttnRange(0, 10)
    const r = new AttnRectangle(q, [0, 5], null, 'causal')
    expect(`${q}`).toBe('[0, 10)')
    expect(() => {
      ;(r.q_range as AttnRange).start = 7
    }).toThrow(TypeError)
    const copy = r.q_range.clone()
    copy.start = 7
    expect(r.q_range.start).toBe(5)
  })

  it('validates assignments', () => {
    const r = window()
    r.q_range = [3, 8]
    r.k_range = new AttnRange(2, 9)
    r.d_range = [-1, 1]
    expect(`${r}`).toBe('[3, 8) x [2, 9) x [-1, 1)')
    expect(() => {
      r.q_range = [4, 4]
    }).toThrow(InvalidRangeError)
    expect(() => {
      r.k_range = [5, 4]
    }).toThrow(InvalidRangeError)
    expect(() => {
      r.d_range = [2, 1]
    }).toThrow(InvalidRangeError)
    expect(() => {
      r.q_range = [0.5, 4]
    }).toThrow(ArgumentError)
    expect(() => {
      r.q_range = null as unknown as NaiveRange
    }).toThrow(ArgumentError)
    expect(`${r}`).toBe('[3, 8) x [2, 9) x [-1, 1)')
    expect([r.is_valid(), r.is_valid([4, 4]), r.is_valid([0, 1], [0, 1], [3, 3])]).toEqual([
      true,
      false,
      true,
    ])
    expect(() => r.check_valid([4, 4])).toThrow(InvalidRangeError)
    expect(r.get_valid_or_none()).toBe(r)
    expect(r.length).toBe(1)
  })

  it('is cut at a query', () => {
    const [above, below] = window().cut_q(8)
    expect([`${above?.q_range} ${above?.k_range}`, above?.area()]).toEqual(['[0, 8) [0, 13)', 73])
    expect([`${below?.q_range} ${below?.k_range}`, below?.area()]).toEqual(['[8, 20) [3, 20)', 117])
    expect(window().cut_q(0)).toEqual([null, window()])
    expect(window().cut_q(20)).toEqual([window(), null])
    expect(() => window().cut_q(0.5)).toThrow(ArgumentError)
  })

  it('is cut at a key', () => {
    const [left, right] = window().cut_k(8)
    expect(`${left}`).toBe('[0, 13) x [0, 8) x [-5, 5)')
    expect(`${right}`).toBe('[3, 20) x [8, 20) x [-5, 5)')
    expect(window().cut_k(-1)).toEqual([null, window()])
    expect(window().cut_k(21)).toEqual([window(), null])
    expect(() => window().cut_k(Number.NaN)).toThrow(ArgumentError)
  })

  it('is clipped to segments', () => {
    expect(`${window().get_rect_within_q_segment(8, 10)}`).toBe('[8, 10) x [3, 15) x [-5, 5)')
    expect(`${window().get_rect_within_k_segment(-4, 2)}`).toBe('[0, 7) x [0, 2) x [-5, 1)')
    expect(window().get_rect_within_q_segment(20, 30)).toBeNull()
    expect(window().get_rect_within_k_segment(5, 5)).toBeNull()
  })

  it('knows its type; a single cell is of all types', () => {
    const types = (r: AttnRectangle) => [r.is_full(), r.is_causal(), r.is_inv_causal(), r.is_bi_causal()]
    const typed = (type: number) => new AttnRectangle([0, 4], [0, 6], null, type)
    expect(types(typed(0))).toEqual([true, false, false, false])
    expect(types(typed(1))).toEqual([false, true, false, false])
    expect(types(typed(2))).toEqual([false, false, true, false])
    expect(types(typed(3))).toEqual([false, false, false, true])
    expect(types(new AttnRectangle([3, 4], [5, 6]))).toEqual([true, true, true, true])
    expect(types(window())).toEqual([false, false, false, false])
  })

  it('is compared by value', () => {
    expect(window().equals(window().clone())).toBe(true)
    expect(window().hash()).toBe(window().clone().hash())
    expect(window().equals(new AttnRectangle([0, 20], [0, 20], [-5, 4]))).toBe(false)
    const copy = window().clone()
    const original = copy.clone()
    copy.q_range = [0, 5]
    expect(original.equals(window())).toBe(true)
  })

  it('keeps its cells through cuts, segments and slices', () => {
    const edge = fc.nat(12)
    fc.assert(
      fc.property(
        fc.record({
          q0: edge,
          q1: edge,
          k0: edge,
          k1: edge,
          lo: fc.integer({ min: -12, max: 12 }),
          hi: fc.integer({ min: -12, max: 12 }),
        }),
        fc.integer({ min: -1, max: 13 }),
        fc.integer({ min: -1, max: 13 }),
        (band, a, b) => {
          const r = AttnRectangle.fromBand(band)
          expect(cells(r)).toEqual(cellsOf(band))
          if (r === null) return
          const all = cells(r)
          const query = (cell: string) => Number.parseInt(cell, 10)
          const key = (cell: string) => Number(cell.split(',')[1])
          expect(r.area()).toBe(all.length)
          expect(r.cut_q(a).map(cells)).toEqual([
            all.filter(c => query(c) < a),
            all.filter(c => query(c) >= a),
          ])
          expect(r.cut_k(a).map(cells)).toEqual([all.filter(c => key(c) < a), all.filter(c => key(c) >= a)])
          expect(cells(r.get_rect_within_q_segment(a, b))).toEqual(
            all.filter(c => a <= query(c) && query(c) < b),
          )
          expect(cells(r.get_rect_within_k_segment(a, b))).toEqual(all.filter(c => a <= key(c) && key(c) < b))
          const parts = r.to_qk_range_mask_type().map(([q, k, type]) => sliceToBand(q, k, type))
          expect(parts.flatMap(cellsOf)).toEqual(all)
          const [first] = r.to_qk_range_mask_type()
          const isTyped = [r.is_full(), r.is_causal(), r.is_inv_causal(), r.is_bi_causal()]
          expect(parts.length === 1).toBe(isTyped.includes(true))
          if (parts.length === 1)
            expect(from_int_type(first![2])).toBe(ATTN_MASK_TYPES[isTyped.indexOf(true)])
        },
      ),
      { numRuns: 2000 },
    )
  })
})
