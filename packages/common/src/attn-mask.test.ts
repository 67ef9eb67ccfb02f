import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { triples } from '../test/count-cells.js'
import { AttnMask } from './attn-mask.js'
import { AttnRanges } from './attn-ranges.js'
import { DenseMask, make_attn_mask_from_ffa_args } from './dense-mask.js'
import {
  ArgumentError,
  InvalidRangeError,
  OutOfMemoryError,
  ShapeError,
  UnsupportedError,
} from './errors/index.js'

const typeNames = ['full', 'causal', 'inv_causal', 'bi_causal'] as const

/** The slices as text: `[0,2)x[0,4) causal + ...`. */
function slices(mask: AttnMask): string {
  const list = triples(mask.q_ranges, mask.k_ranges, mask.attn_mask_type)
  return list.map(([q, k, type]) => `[${q})x[${k}) ${type}`).join(' + ')
}

/** Rows of `1` and `0` as a mask. */
const fromPicture = (...rows: string[]) => AttnMask.from_mask(rows.map(row => [...row].map(Number)))
const picture = (mask: AttnMask) => mask.mask_flag_array.toRows().map(row => row.map(Number).join(''))

/** Random masks of at most 12 x 12 tokens, overlaps included. */
const anyMask = fc
  .array(fc.tuple(fc.nat(6), fc.nat(6), fc.nat(6), fc.nat(6), fc.constantFrom(...typeNames)), {
    maxLength: 4,
  })
  .map(list =>
    AttnMask.from_ranges(
      list.map(([q0, sq]) => [q0, q0 + sq] as const),
      list.map(([, , k0, sk]) => [k0, k0 + sk] as const),
      list.map(([, , , , type]) => type),
      12,
      12,
    ),
  )

describe('AttnMask.from_ranges', () => {
  const q_ranges = AttnRanges.from_ranges([
    [0, 6],
    [6, 9],
    [9, 12],
    [12, 16],
  ])
  const k_ranges = AttnRanges.from_ranges([
    [0, 4],
    [4, 12],
    [12, 15],
    [1, 13],
  ])
  const mask = AttnMask.from_ranges(q_ranges, k_ranges, ['causal', 'full', 'causal', 'causal'], 16, 16)

  it('has the area, sub-area and sub-mask of the example of MagiAttention', () => {
    expect(mask.area).toBe(82)
    expect(mask.calc_sub_area([4, 13], [1, 13])).toBe(41)
    expect(slices(mask.make_sub_mask([4, 13], [1, 13]))).toBe(
      '[0,2)x[0,3) causal + [2,5)x[3,11) full + [5,8)x[11,12) full + [8,9)x[0,9) full',
    )
  })

  it('keeps its slices, and copies of them', () => {
    expect(mask.tuples().map(String)).toEqual([
      '[0, 6),[0, 4),causal',
      '[6, 9),[4, 12),full',
      '[9, 12),[12, 15),causal',
      '[12, 16),[1, 13),causal',
    ])
    mask.tuples()[0]![0].end = 3
    q_ranges.at(0).end = 5
    mask.mask_flag_array.data.fill(1)
    expect([mask.area, mask.mask_flag_array.count(), String(mask.tuples()[0]![0])]).toEqual([
      82,
      82,
      '[0, 6)',
    ])
  })

  it('ends where the ranges end when no totals are given', () => {
    const short = AttnMask.from_ranges([[2, 6]], [[0, 3]], 'full')
    expect([short.total_seqlen_q, short.total_seqlen_k]).toEqual([6, 3])
    const none = AttnMask.from_ranges([], [], 'full')
    expect([none.total_seqlen_q, none.total_seqlen_k, none.area]).toEqual([0, 0, 0])
  })

  it('counts a cell that two slices cover once', () => {
    const twice = AttnMask.from_ranges(
      [
        [0, 4],
        [0, 4],
      ],
      [
        [0, 4],
        [0, 4],
      ],
      ['full', 'causal'],
    )
    expect([twice.area, twice.is_pure_full()]).toEqual([16, true])
  })

  it('agrees with the dense mask in every area and every part', () => {
    const range = fc.tuple(fc.nat(12), fc.nat(12)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
    fc.assert(
      fc.property(anyMask, range, range, (given, q, k) => {
        const dense = make_attn_mask_from_ffa_args(
          given.q_ranges,
          given.k_ranges,
          given.attn_mask_type,
          12,
          12,
        )
        const part = dense
          .toRows()
          .slice(...q)
          .map(row => row.slice(...k))
        const sum = part.flat().filter(Boolean).length
        expect(given.area).toBe(dense.count())
        expect(given.mask_flag_array).toEqual(dense)
        expect(given.calc_sub_area(q, k)).toBe(sum)
        const sub = given.make_sub_mask(q, k)
        expect(sub.mask_flag_array.toRows()).toEqual(part)
        const again = make_attn_mask_from_ffa_args(
          sub.q_ranges,
          sub.k_ranges,
          sub.attn_mask_type,
          sub.total_seqlen_q,
          sub.total_seqlen_k,
        )
        expect(again.toRows()).toEqual(part)
      }),
      { numRuns: 1000 },
    )
  })

  it('knows the area of a mask that is too large to be written out', () => {
    const size = 2 ** 20
    const large = AttnMask.from_ranges([[0, size]], [[0, size]], 'causal')
    expect(large.area).toBe((size * (size + 1)) / 2)
    expect(large.calc_sub_area([0, 10], [0, size])).toBe(55)
    expect(() => large.mask_flag_array).toThrow(OutOfMemoryError)
  })

  it('refuses what is not a mask', () => {
    expect(() => AttnMask.from_ranges([[0, 4]], [[0, 4]], 'full', 3)).toThrow(InvalidRangeError)
    expect(() => AttnMask.from_ranges([[0, 4]], [], 'full')).toThrow(ShapeError)
    expect(() => AttnMask.from_ranges([[0, 4]], [[0, 4]], 'bad')).toThrow(ArgumentError)
    expect(() => AttnMask.from_ranges([[0, 4]], [[0, 4]], 'full', 4.5)).toThrow(/^total_seqlen_q: /)
    expect(() => mask.calc_sub_area([0, 17], [0, 4])).toThrow(/^q_range: /)
    expect(() => mask.make_sub_mask([0, 4], [-1, 4])).toThrow(/^k_range: /)
    expect(() => Reflect.construct(AttnMask, [])).toThrow(UnsupportedError)
  })
})

describe('AttnMask.from_mask', () => {
  it.each([
    [['111', '111'], '[0,2)x[0,3) full'],
    [['100', '110', '111'], '[0,3)x[0,3) causal'],
    [['000', '100', '110'], '[0,3)x[0,2) causal'],
    [['000', '000'], '[0,2)x[0,0) causal'],
    [['110', '110', '111'], '[0,1)x[0,2) full + [1,3)x[0,3) causal'],
    [['000', '011', '011'], '[0,1)x[0,0) causal + [1,3)x[1,3) full'],
    [['110', '000', '010'], '[0,1)x[0,2) full + [1,3)x[1,2) causal'],
    [['100', '110', '110'], '[0,2)x[0,2) causal + [2,3)x[0,2) full'],
    [['1', '0', '0', '0'], '[0,1)x[0,1) full + [1,4)x[1,1) causal'],
  ])('slices %j', (rows, expected) => {
    const mask = fromPicture(...rows)
    expect(slices(mask)).toBe(expected)
    expect(picture(mask)).toEqual(rows)
  })

  it('gives slices with the cells of any mask of contiguous rows', () => {
    const row = fc.tuple(fc.nat(7), fc.nat(7))
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 10 }), rows => {
        const cells = rows.map(([a, b]) => Array.from({ length: 7 }, (_, j) => j >= a && j < b))
        const mask = AttnMask.from_mask(cells)
        const again = make_attn_mask_from_ffa_args(
          mask.q_ranges,
          mask.k_ranges,
          mask.attn_mask_type,
          rows.length,
          7,
        )
        expect(again.toRows()).toEqual(cells)
        expect(mask.q_ranges.is_cu_seqlens(rows.length)).toBe(true)
        expect(mask.area).toBe(cells.flat().filter(Boolean).length)
      }),
    )
  })

  it('refuses rows with a gap, and copies what it is given', () => {
    expect(() => fromPicture('111', '101')).toThrow(ArgumentError)
    expect(() => fromPicture('111', '101')).toThrow(/^mask\[1\]: /)
    const cells = DenseMask.from_rows([[1, 1]])
    const mask = AttnMask.from_mask(cells)
    cells.data.fill(0)
    expect(picture(mask)).toEqual(['11'])
  })
})

describe('AttnMask predicates', () => {
  const names = [
    'is_square',
    'is_empty',
    'is_pure_full',
    'is_pure_causal',
    'is_varlen_full',
    'is_varlen_causal',
  ] as const
  it.each([
    [
      ['11', '11'],
      ['is_square', 'is_pure_full', 'is_varlen_full'],
    ],
    [
      ['11', '11', '11'],
      ['is_pure_full', 'is_varlen_full'],
    ],
    [
      ['10', '11'],
      ['is_square', 'is_pure_causal', 'is_varlen_causal'],
    ],
    [
      ['110', '111'],
      ['is_pure_causal', 'is_varlen_causal'],
    ],
    [
      ['00', '10', '11'],
      ['is_pure_causal', 'is_varlen_causal'],
    ],
    [
      ['1100', '1100', '0011', '0011'],
      ['is_square', 'is_varlen_full'],
    ],
    [
      ['1000', '1100', '0010', '0011'],
      ['is_square', 'is_varlen_causal'],
    ],
    [
      ['1100', '0000', '0010', '0011'],
      ['is_square', 'is_varlen_causal'],
    ],
    [
      ['10', '01'],
      ['is_square', 'is_varlen_full', 'is_varlen_causal'],
    ],
    [['1100', '0000', '0011'], ['is_varlen_full']],
    [
      ['00', '00'],
      ['is_square', 'is_empty'],
    ],
    [['1'], ['is_square', 'is_pure_full', 'is_pure_causal', 'is_varlen_full', 'is_varlen_causal']],
    [['110', '110', '110'], ['is_square']],
    [['110', '011', '001'], ['is_square']],
    [['11', '10'], ['is_square']],
    [['1000', '1100', '1100', '0011'], ['is_square']],
  ])('%j is %j', (rows, expected) => {
    const mask = fromPicture(...rows)
    expect(names.filter(name => mask[name]())).toEqual(expected)
  })

  it('is false for rows that are not contiguous', () => {
    const mask = AttnMask.from_ranges(
      [
        [0, 2],
        [0, 2],
      ],
      [
        [0, 1],
        [2, 3],
      ],
      'full',
    )
    expect(names.filter(name => mask[name]())).toEqual([])
  })
})

describe('AttnMask.make_causal_mask', () => {
  it('aligns to either corner', () => {
    const rows = (mask: DenseMask) => mask.toRows().map(row => row.map(Number).join(''))
    expect(rows(AttnMask.make_causal_mask(2, 4))).toEqual(['1110', '1111'])
    expect(rows(AttnMask.make_causal_mask(2, 4, 'top-left'))).toEqual(['1000', '1100'])
    expect(rows(AttnMask.make_causal_mask(3, 2))).toEqual(['00', '10', '11'])
    expect(() => AttnMask.make_causal_mask(2, 4, 'center' as never)).toThrow(/^align: /)
  })
})

describe('AttnMask.visualize', () => {
  it('writes the drawing to a file', () => {
    const directory = mkdtempSync(join(tmpdir(), 'attn-mask-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const path = join(directory, 'mask.txt')
    AttnMask.from_ranges([[0, 2]], [[0, 2]], 'causal').visualize(path, { glyphs: '0*' })
    expect(readFileSync(path, 'utf8')).toBe('q\\k  0 1\n  0 |* 0\n  1 |* *\n')
  })
})
