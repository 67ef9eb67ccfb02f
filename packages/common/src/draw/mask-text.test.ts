import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AttnMask } from '../attn-mask.js'
import { AttnRectangle } from '../attn-rectangle.js'
import { AttnRectangles } from '../attn-rectangles.js'
import { ArgumentError, InvalidRangeError } from '../errors/index.js'
import { bandToSlices, sliceToBand } from '../rectangle-slices.js'
import type { DrawableMask } from './mask-shapes.js'
import { draw_mask_text } from './mask-text.js'

/** The glyphs of the drawn cells, one string a row. */
function cells(drawing: string): string[] {
  return drawing.split('\n').flatMap(line => /[|│](.*)$/.exec(line)?.[1]?.replaceAll(' ', '') ?? [])
}

const typeNames = ['full', 'causal', 'inv_causal', 'bi_causal'] as const

describe('draw_mask_text', () => {
  it('draws small masks cell by cell', () => {
    const mask = AttnMask.from_ranges(
      [
        [0, 2],
        [2, 4],
      ],
      [
        [0, 2],
        [0, 4],
      ],
      ['full', 'causal'],
    )
    expect(draw_mask_text(mask, { title: 'A mask' })).toBe(
      [
        'A mask',
        '',
        'q\\k  0 1 2 3',
        '  0 │█ █ · ·',
        '  1 │█ █ · ·',
        '  2 │█ █ █ ·',
        '  3 │█ █ █ █',
        '',
      ].join('\n'),
    )
  })

  it('takes a mask in every form', () => {
    const band = sliceToBand([1, 3], [0, 4], 'causal')
    const totals = { total_seqlen_q: 4, total_seqlen_k: 4 }
    const forms: DrawableMask[] = [
      AttnMask.from_ranges([[1, 3]], [[0, 4]], 'causal', 4, 4),
      { q_ranges: [[1, 3]], k_ranges: [[0, 4]], attn_mask_type: 1 },
      [[[1, 3], [0, 4], 'causal']],
      [[[1, 3], [0, 4], 1]],
      [{ q_range: [1, 3], k_range: [0, 4], mask_type: 'causal' }],
      new AttnRectangle([1, 3], [0, 4], null, 'causal'),
      [new AttnRectangle([1, 3], [0, 4], null, 'causal')],
      AttnRectangles.from_ranges([[1, 3]], [[0, 4]], 'causal'),
      [band],
      bandToSlices(band),
    ]
    for (const form of forms) {
      expect(cells(draw_mask_text(form, { ...totals, glyphs: '01' }))).toEqual([
        '0000',
        '1110',
        '1111',
        '0000',
      ])
    }
  })

  it('shows the share of each block of a large mask, overlaps counted once', () => {
    const slice = fc.tuple(fc.nat(60), fc.nat(60), fc.nat(60), fc.nat(60), fc.constantFrom(...typeNames))
    fc.assert(
      fc.property(fc.array(slice, { maxLength: 6 }), slices => {
        const mask = AttnMask.from_ranges(
          slices.map(([q0, sq]) => [q0, q0 + sq] as const),
          slices.map(([, , k0, sk]) => [k0, k0 + sk] as const),
          slices.map(([, , , , type]) => type),
          120,
          121,
        )
        const start = (length: number, blocks: number, i: number) => Math.floor((i * length) / blocks)
        const expected = Array.from({ length: 8 }, (_, r) =>
          Array.from({ length: 16 }, (_, c) => {
            const q = [start(120, 8, r), start(120, 8, r + 1)] as const
            const k = [start(121, 16, c), start(121, 16, c + 1)] as const
            const share = mask.calc_sub_area(q, k) / ((q[1] - q[0]) * (k[1] - k[0]))
            if (share === 0 || share === 1) return share === 0 ? '0' : '4'
            return String(1 + Math.min(2, Math.floor(share * 3)))
          }).join(''),
        )
        expect(cells(draw_mask_text(mask, { maxRows: 8, maxCols: 16, glyphs: '01234' }))).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })

  it('draws a million tokens, with what a character stands for', () => {
    const size = 2 ** 20
    const drawing = draw_mask_text([[[0, size], [0, size], 'causal']], { maxRows: 4, maxCols: 8 })
    expect(cells(drawing)).toEqual(['▓░······', '██▓░····', '████▓░··', '██████▓░'])
    expect(drawing).toContain('1 character = 256Ki x 128Ki tokens: · none, ░▒▓ some, █ all')
    const coarse = draw_mask_text([[[0, size], [0, size], 'causal']], {
      maxRows: 4,
      maxCols: 4,
      glyphs: '.#',
    })
    expect(cells(coarse)).toEqual(['#...', '##..', '###.', '####'])
  })

  it('draws a mask without tokens', () => {
    expect(draw_mask_text([])).toBe('q\\k\n(no cells: 0 x 0 tokens)\n')
    expect(draw_mask_text({ q_ranges: [[0, 1]], k_ranges: [[0, 0]], attn_mask_type: 'full' })).toContain(
      '1 x 0',
    )
  })

  it('refuses what it cannot draw', () => {
    const draw =
      (mask: unknown, options = {}) =>
      () =>
        draw_mask_text(mask as DrawableMask, options)
    const slice = [[0, 4], [0, 4], 'full']
    expect(draw(null)).toThrow(/^mask: /)
    expect(draw('mask')).toThrow(ArgumentError)
    expect(draw([1])).toThrow(/^mask\[0\]: /)
    expect(draw([[[0, 4], [4, 0], 'full']])).toThrow(/^mask\[0\]\.k_range: /)
    expect(draw([[[0, 4], [0, 4], 'bad']])).toThrow(/^mask\[0\]\.mask_type: /)
    expect(draw([{ q0: 0, q1: 4, k0: 0, k1: Number.NaN, lo: 0, hi: 0 }])).toThrow(ArgumentError)
    expect(draw([slice], { total_seqlen_q: 3 })).toThrow(InvalidRangeError)
    expect(draw([[[-2, 4], [0, 4], 'full']])).toThrow(InvalidRangeError)
    expect(draw([slice], { maxRows: 0 })).toThrow(/^maxRows: /)
    expect(draw([slice], { maxCols: 1.5 })).toThrow(/^maxCols: /)
    expect(draw([slice], { glyphs: '#' })).toThrow(/^glyphs: /)
  })
})
