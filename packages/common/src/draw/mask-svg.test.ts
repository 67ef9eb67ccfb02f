import { describe, expect, it } from 'vitest'
import { AttnMask } from '../attn-mask.js'
import type { DrawableMask } from './mask-shapes.js'
import { type DrawMaskSvgOptions, draw_mask_svg } from './mask-svg.js'

const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0
/** The data of the one path of a class. */
const path = (svg: string, kind: string) =>
  new RegExp(`<path class="${kind}" d="([^"]*)"`).exec(svg)?.[1] ?? ''

describe('draw_mask_svg', () => {
  const small = AttnMask.from_ranges(
    [
      [0, 4],
      [4, 8],
    ],
    [
      [0, 4],
      [0, 8],
    ],
    ['causal', 'full'],
  )

  it('draws a square for each cell of a small mask, coloured by type', () => {
    const svg = draw_mask_svg(small)
    expect(count(path(svg, 'cells causal'), /z/g)).toBe(10)
    expect(count(path(svg, 'cells full'), /z/g)).toBe(32)
    expect(count(path(svg, 'cells masked'), /z/g)).toBe(22)
    expect(svg).toContain('8 × 8 tokens · 2 slices · 42 of 64 cells attended (66 %)')
  })

  it('puts the squares in their places', () => {
    const svg = draw_mask_svg([[[2, 3], [1, 2], 'full']], { total_seqlen_q: 4, total_seqlen_k: 4 })
    // Cells of 32 pixels from (78, 80), less a gap of 3.
    expect(path(svg, 'cells full')).toBe('M111.5 145.5h29v29h-29z')
  })

  it('draws a polygon with a tooltip for each slice of a large mask', () => {
    const size = 2 ** 20
    const svg = draw_mask_svg([
      [[0, size], [0, size], 'causal'],
      [[0, 9], [size - 9, size], 'bi_causal'],
    ])
    expect(path(svg, 'slice causal')).toBe('M78 80L558 560L78 560z')
    expect(svg).toContain(
      `<title>causal: queries [0, ${size}), keys [0, ${size}), 549,756,338,176 cells</title>`,
    )
    expect(svg).toContain('>512Ki</text>')
    expect(count(svg, /class="slice /g) - 2).toBe(2)
  })

  it('groups very many slices by type', () => {
    const slices = Array.from({ length: 300 }, (_, i) => [[i, i + 1], [0, i + 1], i % 2 ? 'full' : 'causal'])
    const svg = draw_mask_svg(slices as unknown as DrawableMask)
    expect(count(path(svg, 'area full'), /M/g)).toBe(150)
    expect(count(svg, /<path class="area/g)).toBe(2)
    expect(svg).toContain('300 slices · 45,150 of 90,000 cells attended (50 %)')
  })

  it('counts a cell of two slices once', () => {
    const svg = draw_mask_svg([
      [[0, 100], [0, 100], 'full'],
      [[50, 100], [0, 50], 'causal'],
    ])
    expect(svg).toContain('10,000 of 10,000 cells attended (100 %)')
  })

  it('is well formed, whatever the title', () => {
    const svg = draw_mask_svg(small, { title: '<b>"a" & b</b>\u0007' })
    expect(svg).toContain('>&lt;b&gt;&quot;a&quot; &amp; b&lt;/b&gt;</text>')
    expect(svg).not.toContain('\u0007')
    expect(count(svg, /<text/g)).toBe(count(svg, /<\/text>/g))
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  })

  it('draws masks without cells and very long ones', () => {
    const masks: DrawableMask[] = [
      [],
      { q_ranges: [[0, 4]], k_ranges: [[0, 0]], attn_mask_type: 'full' },
      [[[0, 2 ** 40], [0, 1], 'full']],
    ]
    for (const mask of masks) expect(draw_mask_svg(mask)).not.toMatch(/NaN|Infinity|undefined/)
  })

  it('follows the colour scheme of the reader, or a fixed one', () => {
    expect(draw_mask_svg(small)).toContain('@media (prefers-color-scheme:dark)')
    const fixed = (['light', 'dark'] as const).map(theme => draw_mask_svg(small, { theme }))
    expect(fixed[0]).not.toContain('@media')
    expect(fixed[0]).not.toBe(fixed[1])
  })

  it.each([
    [{ size: 10 }, /^size: /],
    [{ size: Number.NaN }, /^size: /],
    [{ theme: 'blue' }, /^theme: /],
    [{ total_seqlen_k: 4 }, /^mask: |^k_ranges/],
  ])('refuses %j', (options, message) => {
    expect(() => draw_mask_svg(small, options as DrawMaskSvgOptions)).toThrow(message)
  })
})
