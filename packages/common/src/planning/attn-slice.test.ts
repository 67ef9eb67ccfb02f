import { describe, expect, it } from 'vitest'
import { AttnRange } from '../attn-range.js'
import { ArgumentError, ShapeError } from '../errors/index.js'
import { AttnSlice } from './attn-slice.js'
import { MultiKAttnSlice } from './multi-k-attn-slice.js'

describe('AttnSlice', () => {
  const slice = (sq: number, sk: number, mask_type: number) =>
    new AttnSlice({ slice_id: 0, mask_type, q_range: [2, 2 + sq], k_range: [7, 7 + sk] })

  it.each([
    [3, 5, [15, 12, 12, 9]],
    [5, 3, [15, 6, 6, 0]],
    [4, 4, [16, 10, 10, 4]],
  ])('knows the area of %i queries x %i keys', (sq, sk, areas) => {
    expect([0, 1, 2, 3].map(type => slice(sq, sk, type).area)).toEqual(areas)
  })

  it('lets the area be set, and ignores it in equality', () => {
    const s = slice(3, 5, 1)
    s.area = 99
    expect(s.area).toBe(99)
    expect(s.equals(slice(3, 5, 1))).toBe(true)
    expect(s.equals(slice(3, 5, 0))).toBe(false)
    expect(`${s}`).toBe('[2, 5) x [7, 12) causal')
    expect(() => {
      s.area = -1
    }).toThrow(ArgumentError)
  })

  it('compares key ranges', () => {
    const keys = (start: number, end: number) =>
      new AttnSlice({ mask_type: 'full', q_range: [0, 1], k_range: [start, end] })
    expect(keys(0, 4).iou_with(keys(2, 6))).toBe(1 / 3)
    expect(keys(0, 4).iou_with(keys(4, 6))).toBe(0)
    expect(keys(0, 0).iou_with(keys(3, 3))).toBe(0)
  })

  it('copies its ranges and refuses bad ones', () => {
    const q_range = new AttnRange(0, 4)
    const s = new AttnSlice({ mask_type: 'full', q_range, k_range: [0, 4] })
    q_range.end = 9
    expect(s.q_range.end).toBe(4)
    q_range.start = 10
    expect(() => new AttnSlice({ mask_type: 'full', q_range, k_range: [0, 4] })).toThrow(ArgumentError)
    expect(() => new AttnSlice({ mask_type: 5, q_range: [0, 1], k_range: [0, 4] })).toThrow('mask_type')
  })
})

describe('MultiKAttnSlice', () => {
  const options = {
    q_range: [0, 4],
    k_ranges: [
      [0, 4],
      [8, 12],
    ],
    mask_types: ['full', 'causal'],
  } as const

  it('adds the areas of its key ranges', () => {
    const slice = new MultiKAttnSlice(options)
    expect(slice.area).toBe(16 + 10)
    expect(`${slice}`).toBe('[0, 4) x [0, 4) full, [8, 12) causal')
    expect(slice.equals(new MultiKAttnSlice({ ...options, mask_types: [0, 1] }))).toBe(true)
    expect(slice.equals(new MultiKAttnSlice({ ...options, mask_types: [0, 0] }))).toBe(false)
    slice.area = 7
    expect(slice.area).toBe(7)
    expect(new MultiKAttnSlice({ q_range: [0, 4], k_ranges: [], mask_types: [] }).area).toBe(0)
  })

  it('wants a mask type for each key range', () => {
    expect(() => new MultiKAttnSlice({ ...options, mask_types: ['full'] })).toThrow(ShapeError)
  })
})
