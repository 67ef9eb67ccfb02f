import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countCells } from '../test/count-cells.js'
import { DenseMask, make_attn_mask_from_ffa_args, make_slice_mask_from_ffa_attn_type } from './dense-mask.js'
import { ArgumentError, IndexError, InvalidRangeError, OutOfMemoryError, ShapeError } from './errors/index.js'

const typeNames = ['full', 'causal', 'inv_causal', 'bi_causal'] as const
const picture = (mask: DenseMask) => mask.toRows().map(row => row.map(Number).join(''))

describe('make_slice_mask_from_ffa_attn_type', () => {
  it.each([
    [3, 5, 'causal', ['11100', '11110', '11111']],
    [3, 5, 'inv_causal', ['11111', '01111', '00111']],
    [3, 5, 'bi_causal', ['11100', '01110', '00111']],
    [5, 3, 'causal', ['000', '000', '100', '110', '111']],
    [5, 3, 'inv_causal', ['111', '011', '001', '000', '000']],
    [5, 3, 'bi_causal', ['000', '000', '000', '000', '000']],
    [2, 2, 3, ['10', '01']],
    [2, 3, 0, ['111', '111']],
  ])('draws %i x %i %s', (sq, sk, type, expected) => {
    expect(picture(make_slice_mask_from_ffa_attn_type(sq, sk, type))).toEqual(expected)
  })

  it('refuses unknown types, bad lengths and masks that do not fit into memory', () => {
    expect(() => make_slice_mask_from_ffa_attn_type(2, 2, 'bad')).toThrow(/^attn_type: /)
    expect(() => make_slice_mask_from_ffa_attn_type(2, 2, 4)).toThrow(ArgumentError)
    expect(() => make_slice_mask_from_ffa_attn_type(2.5, 2, 'full')).toThrow(/^seqlen_q: /)
    expect(() => make_slice_mask_from_ffa_attn_type(2, -2, 'full')).toThrow(/^seqlen_k: /)
    expect(() => make_slice_mask_from_ffa_attn_type(1_000_000, 1_000_000, 'causal')).toThrow(OutOfMemoryError)
  })
})

describe('make_attn_mask_from_ffa_args', () => {
  it('is the union of the slices, whatever their order', () => {
    const slice = fc.record({
      q0: fc.nat(8),
      sq: fc.nat(8),
      k0: fc.nat(8),
      sk: fc.nat(8),
      type: fc.constantFrom(...typeNames),
    })
    fc.assert(
      fc.property(fc.array(slice, { maxLength: 5 }), slices => {
        const qRanges = slices.map(s => [s.q0, s.q0 + s.sq] as const)
        const kRanges = slices.map(s => [s.k0, s.k0 + s.sk] as const)
        const types = slices.map(s => s.type)
        const mask = make_attn_mask_from_ffa_args(qRanges, kRanges, types, 16, 17)
        const bounds = (ranges: (readonly [number, number])[]) =>
          ranges.map(([start, end]) => ({ start, end }))
        const counts = countCells(bounds(qRanges), bounds(kRanges), types, 16, 17)
        expect(mask.toRows()).toEqual(counts.map(row => row.map(count => count > 0)))
        expect(mask.count()).toBe(counts.flat().filter(count => count > 0).length)
      }),
      { numRuns: 500 },
    )
  })

  it('names what is wrong', () => {
    const make = make_attn_mask_from_ffa_args
    expect(() => make([[0, 5]], [[0, 4]], 'full', 4, 4)).toThrow(InvalidRangeError)
    expect(() => make([[0, 5]], [[0, 4]], 'full', 4, 4)).toThrow(/^q_ranges\[0\]: /)
    expect(() => make([[3, 1]], [[0, 4]], 'full', 4, 4)).toThrow(/^q_ranges\[0\]: /)
    expect(() =>
      make(
        [[0, 1]],
        [
          [0, 4],
          [0, 2],
        ],
        'full',
        4,
        4,
      ),
    ).toThrow(ShapeError)
    expect(() => make([[0, 1]], [[0, 4]], ['full', 'full'], 4, 4)).toThrow(ShapeError)
    expect(() => make(null as never, [[0, 4]], 'full', 4, 4)).toThrow(/^q_ranges: /)
    expect(() => make([[0, 1]], [[0, 4]], 'full', 4, Number.NaN)).toThrow(/^total_seqlen_k: /)
  })
})

describe('DenseMask', () => {
  it('reads single cells and refuses places outside', () => {
    const mask = DenseMask.from_rows([
      [1, 0, 0],
      [true, true, false],
    ])
    expect([mask.at(0, 0), mask.at(0, 2), mask.at(1, 1)]).toEqual([true, false, true])
    expect(() => mask.at(2, 0)).toThrow(IndexError)
    expect(() => mask.at(0, -1)).toThrow(/^col: /)
    expect(() => mask.at(0.5, 0)).toThrow(/^row: /)
  })

  it('refuses rows of unequal length and values other than booleans', () => {
    expect(() => DenseMask.from_rows([[1], [1, 0]])).toThrow(/^mask\[1\]: expected 1 values/)
    expect(() => DenseMask.from_rows([[2]])).toThrow(ShapeError)
    expect(() => DenseMask.from_rows([[Number.NaN]])).toThrow(/^mask\[0\]\[0\]: /)
    expect(() => DenseMask.from_rows('10' as never)).toThrow(ShapeError)
  })
})
