import { describe, expect, it } from 'vitest'
import {
  AttnMask,
  AttnRanges,
  AttnRectangles,
  type Band,
  bandArea,
  draw_mask_svg,
  draw_mask_text,
  find_doubly_covered,
  infer_attn_mask_from_cu_seqlens,
  infer_varlen_mask_from_batch,
  sliceArea,
} from '../src/index.js'

const COUNT = 10_000
const LENGTH = 100
const TOTAL = COUNT * LENGTH

/** 10,000 causal samples of 100 tokens. */
function samples() {
  const [cu_seqlens_q, cu_seqlens_k] = infer_varlen_mask_from_batch({ batch_size: COUNT, seq_len: LENGTH })
  return infer_attn_mask_from_cu_seqlens({ cu_seqlens_q, cu_seqlens_k, causal: true })
}

/** 10,000 ranges of 60 tokens, one every 100. */
const islands = () =>
  AttnRanges.from_ranges(Array.from({ length: COUNT }, (_, i) => [i * 100, i * 100 + 60] as const))

describe('10,000 ranges', () => {
  it('merge, whatever their order', () => {
    const [ranges] = samples()
    expect(ranges.merge().to_naive_ranges()).toEqual([[0, TOTAL]])
    const reversed = AttnRanges.from_ranges([...islands()].reverse())
    expect(reversed.merge().equals(islands())).toBe(true)
  })

  it('are cut and intersected', () => {
    const all = AttnRanges.from_ranges([[0, TOTAL]])
    const holes = all.find_hole_ranges(islands())
    expect([holes.length, holes.total_seqlen]).toEqual([COUNT, COUNT * 40])
    const overlap = islands().find_overlap_ranges(all)
    expect([overlap.length, overlap.total_seqlen]).toEqual([COUNT, COUNT * 60])
  })

  it('are made local', () => {
    const local = islands().make_ranges_local(islands())
    expect(local.at(COUNT - 1).to_naive_range()).toEqual([(COUNT - 1) * 60, COUNT * 60])
  })
})

describe('10,000 slices', () => {
  it('have an area and are disjoint', () => {
    const [q, k, types] = samples()
    const areas = Array.from(q, (range, i) => sliceArea(range, k.at(i), types[i]!))
    expect(areas.reduce((sum, area) => sum + area, 0)).toBe(COUNT * 5050)
    const rectangles = AttnRectangles.from_ranges(q, k, types)
    expect(rectangles.area()).toBe(COUNT * 5050)
    expect(AttnMask.from_ranges(q, k, types).area).toBe(COUNT * 5050)
    expect(find_doubly_covered(Array.from(rectangles, rectangle => rectangle.toBand()))).toEqual([])
  })

  it('are searched for cells that are covered twice', () => {
    const bands: Band[] = Array.from({ length: COUNT }, (_, i) => ({
      q0: i * LENGTH,
      q1: (i + 1) * LENGTH,
      k0: 0,
      k1: (i + 1) * LENGTH,
      lo: Number.NEGATIVE_INFINITY,
      hi: 0,
    }))
    expect(find_doubly_covered(bands)).toEqual([])
    expect(bands.reduce((sum, band) => sum + bandArea(band), 0)).toBe((TOTAL * (TOTAL + 1)) / 2)
    bands.push({ ...bands[77]!, q0: 7750, q1: 7751, k0: 12, k1: 13 })
    expect(find_doubly_covered(bands)).toEqual([{ slices: [77, COUNT], cell: [7750, 12] }])
  })

  it('are drawn by their geometry', () => {
    const [q_ranges, k_ranges, attn_mask_type] = samples()
    const mask = { q_ranges, k_ranges, attn_mask_type }
    const text = draw_mask_text(mask, { maxRows: 10, maxCols: 10, glyphs: '·░█' })
    const cells = text.split('\n').flatMap(line => /│(.*)$/.exec(line)?.[1] ?? [])
    expect(cells).toEqual(Array.from({ length: 10 }, (_, i) => `${'·'.repeat(i)}░${'·'.repeat(9 - i)}`))
    const svg = draw_mask_svg(mask)
    expect(svg).toContain('1,000,000 × 1,000,000 tokens · 10,000 slices · &lt; 0.1 % attended')
    expect(svg.match(/<path class="area /g)?.length).toBe(1)
  })

  it('are drawn although all of them overlap', () => {
    const slices = Array.from({ length: COUNT }, (_, i) => [[i, TOTAL - i], [i, TOTAL - i], 'full'] as const)
    expect(draw_mask_text(slices, { maxRows: 2, maxCols: 2 })).toContain('│██')
    expect(draw_mask_svg(slices)).toContain('10,000 slices')
  })
})
