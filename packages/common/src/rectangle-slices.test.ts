import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ATTN_MASK_TYPES, type AttnMaskType } from './attn-mask-type.js'
import type { NaiveRange } from './attn-range.js'
import { ArgumentError, InvalidRangeError } from './errors/index.js'
import {
  type Band,
  bandToSlices,
  intersectBands,
  sliceToBand,
  type TypedSlice,
  tightenBand,
} from './rectangle-slices.js'

const infinity = Number.POSITIVE_INFINITY

/** All cells as `"q,k"`, ascending. */
function cellsOf({ q0, q1, k0, k1, lo, hi }: Band): string[] {
  const cells: string[] = []
  for (let q = q0; q < q1; q++) {
    for (let k = k0; k < k1; k++) if (lo <= k - q && k - q <= hi) cells.push(`${q},${k}`)
  }
  return cells
}

/** All cells by the definition of the mask types. */
function cellsOfSlice({ q_range: q, k_range: k, mask_type }: TypedSlice): string[] {
  const isBelow = mask_type === 'causal' || mask_type === 'bi_causal'
  const isAbove = mask_type === 'inv_causal' || mask_type === 'bi_causal'
  const cells: string[] = []
  for (let i = q.start; i < q.end; i++) {
    for (let j = k.start; j < k.end; j++) {
      if (isBelow && j - i > k.end - q.end) continue
      if (isAbove && j - i < k.start - q.start) continue
      cells.push(`${i},${j}`)
    }
  }
  return cells
}

const diagonal = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -14, max: 14 }) },
  { weight: 1, arbitrary: fc.constantFrom(-infinity, infinity) },
)
const anyBand = fc
  .record({
    q0: fc.integer({ min: -3, max: 6 }),
    q1: fc.integer({ min: -3, max: 12 }),
    k0: fc.integer({ min: -3, max: 6 }),
    k1: fc.integer({ min: -3, max: 12 }),
    lo: diagonal,
    hi: diagonal,
  })
  .map((band): Band => band)
const text = (band: Band) =>
  bandToSlices(band).map(slice => `${slice.q_range} ${slice.k_range} ${slice.mask_type}`)

describe('sliceToBand', () => {
  it('bounds the band by the corners', () => {
    const box = { q0: 2, q1: 5, k0: 1, k1: 9 }
    expect(sliceToBand([2, 5], [1, 9], 'full')).toEqual({ ...box, lo: -infinity, hi: infinity })
    expect(sliceToBand([2, 5], [1, 9], 'causal')).toEqual({ ...box, lo: -infinity, hi: 4 })
    expect(sliceToBand([2, 5], [1, 9], 'inv_causal')).toEqual({ ...box, lo: -1, hi: infinity })
    expect(sliceToBand([2, 5], [1, 9], 3)).toEqual({ ...box, lo: -1, hi: 4 })
  })

  it.each<[NaiveRange, NaiveRange, AttnMaskType, string]>([
    [[0, 3], [0, 5], 'causal', '3 4 5'],
    [[0, 3], [0, 5], 'inv_causal', '5 4 3'],
    [[0, 3], [0, 5], 'bi_causal', '3 3 3'],
    [[0, 5], [0, 3], 'causal', '0 0 1 2 3'],
    [[0, 5], [0, 3], 'inv_causal', '3 2 1 0 0'],
    [[0, 5], [0, 3], 'bi_causal', '0 0 0 0 0'],
  ])('gives %s x %s %s rows of %s keys', (q, k, type, sizes) => {
    const rows = new Array<number>(q[1]).fill(0)
    for (const cell of cellsOf(sliceToBand(q, k, type))) rows[Number.parseInt(cell, 10)]!++
    expect(rows.join(' ')).toBe(sizes)
  })

  it('has the cells of the slice', () => {
    const size = fc.nat(7)
    fc.assert(
      fc.property(
        fc.nat(5),
        size,
        fc.nat(5),
        size,
        fc.constantFrom(...ATTN_MASK_TYPES),
        (q, sq, k, sk, type) => {
          const band = sliceToBand([q, q + sq], [k, k + sk], type)
          const back = bandToSlices(band)
          const slice = {
            q_range: { start: q, end: q + sq },
            k_range: { start: k, end: k + sk },
            mask_type: type,
          }
          expect(cellsOf(band)).toEqual(cellsOfSlice(slice as TypedSlice))
          expect(back.length).toBe(cellsOf(band).length === 0 ? 0 : 1)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('refuses bad input', () => {
    expect(() => sliceToBand([3, 1], [0, 1], 'full')).toThrow(InvalidRangeError)
    expect(() => sliceToBand([0, 1.5], [0, 1], 'full')).toThrow(ArgumentError)
    expect(() => sliceToBand([0, 1], [0, 1], 'bad' as AttnMaskType)).toThrow(ArgumentError)
  })
})

describe('tightenBand', () => {
  it('keeps the cells and leaves no empty row, column or diagonal', () => {
    fc.assert(
      fc.property(anyBand, band => {
        const cells = cellsOf(band)
        const tight = tightenBand(band)
        if (tight === null) {
          expect(cells).toEqual([])
          return
        }
        const points = cells.map(cell => cell.split(',').map(Number) as [number, number])
        const [qs, ks, ds] = [points.map(([q]) => q), points.map(([, k]) => k), points.map(([q, k]) => k - q)]
        expect(cellsOf(tight)).toEqual(cells)
        expect(tight).toEqual({
          q0: Math.min(...qs),
          q1: Math.max(...qs) + 1,
          k0: Math.min(...ks),
          k1: Math.max(...ks) + 1,
          lo: Math.min(...ds),
          hi: Math.max(...ds),
        })
        expect(new Set(qs).size).toBe(tight.q1 - tight.q0)
        expect(new Set(ks).size).toBe(tight.k1 - tight.k0)
        expect(new Set(ds).size).toBe(tight.hi - tight.lo + 1)
      }),
      { numRuns: 3000 },
    )
  })

  it.each(['q0', 'q1', 'k0', 'k1', 'lo', 'hi'] as const)('refuses a %s that is not an integer', key => {
    const band = { q0: 0, q1: 4, k0: 0, k1: 4, lo: -1, hi: 1 }
    expect(() => tightenBand({ ...band, [key]: Number.NaN })).toThrow(`band.${key}`)
    expect(() => tightenBand({ ...band, [key]: 0.5 })).toThrow(ArgumentError)
    expect(() => bandToSlices({ ...band, [key]: '1' } as unknown as Band)).toThrow(ArgumentError)
  })
})

describe('intersectBands', () => {
  it('has the common cells', () => {
    fc.assert(
      fc.property(anyBand, anyBand, (a, b) => {
        const inB = new Set(cellsOf(b))
        expect(cellsOf(intersectBands(a, b))).toEqual(cellsOf(a).filter(cell => inB.has(cell)))
      }),
      { numRuns: 1000 },
    )
  })
})

describe('bandToSlices', () => {
  it('cuts a window at the rows where its edges bend', () => {
    expect(text({ q0: 0, q1: 10, k0: 0, k1: 15, lo: -5, hi: 5 })).toEqual([
      '[0, 5) [0, 10) causal',
      '[5, 10) [0, 15) bi_causal',
    ])
    expect(text({ q0: 0, q1: 10, k0: 0, k1: 10, lo: -2, hi: 2 })).toEqual([
      '[0, 2) [0, 4) causal',
      '[2, 8) [0, 10) bi_causal',
      '[8, 10) [6, 10) inv_causal',
    ])
    expect(text({ q0: 0, q1: 10, k0: 0, k1: 10, lo: -5, hi: 5 })).toEqual([
      '[0, 5) [0, 10) causal',
      '[5, 10) [0, 10) inv_causal',
    ])
    expect(text({ q0: 0, q1: 10, k0: 0, k1: 10, lo: -7, hi: 8 })).toEqual([
      '[0, 2) [0, 10) causal',
      '[2, 7) [0, 10) full',
      '[7, 10) [0, 10) inv_causal',
    ])
  })

  it('leaves rows without a cell out', () => {
    expect(text({ q0: 0, q1: 10, k0: 4, k1: 6, lo: 0, hi: 0 })).toEqual(['[4, 6) [4, 6) bi_causal'])
    expect(text({ q0: 0, q1: 10, k0: 4, k1: 6, lo: 1, hi: 0 })).toEqual([])
    expect(text({ q0: 4, q1: 3, k0: 4, k1: 6, lo: -infinity, hi: infinity })).toEqual([])
  })

  it('covers the cells of any band once, with as few slices as possible', () => {
    fc.assert(
      fc.property(anyBand, band => {
        const slices = bandToSlices(band)
        const cells = slices.flatMap(cellsOfSlice)
        // In order and without repetition, as the slices are disjoint and ascending by query.
        expect(cells).toEqual(cellsOf(band))
        expect(slices.every(slice => cellsOfSlice(slice).length > 0)).toBe(true)
        expect(slices.length).toBeLessThanOrEqual(3)
        const rows = slices.reduce((sum, slice) => sum + slice.q_range.seqlen, 0)
        expect(rows).toBe(new Set(cells.map(cell => Number.parseInt(cell, 10))).size)
      }),
      { numRuns: 5000 },
    )
  })

  it('needs no more slices than any other split by rows', () => {
    fc.assert(
      fc.property(anyBand, band => {
        const rows = new Map<number, string[]>()
        for (const cell of cellsOf(band)) {
          const row = Number.parseInt(cell, 10)
          rows.set(row, [...(rows.get(row) ?? []), cell])
        }
        const lists = [...rows.values()]
        const isOneSlice = (start: number, end: number) => {
          const keys = lists.slice(start, end).map(cells => cells.map(cell => Number(cell.split(',')[1])))
          const [k0, k1] = [Math.min(...keys.flat()), Math.max(...keys.flat()) + 1]
          const firstRow = Number.parseInt(lists[start]![0]!, 10)
          const wanted = lists.slice(start, end).flat().join(' ')
          return ATTN_MASK_TYPES.some(type => {
            const slice = sliceToBand([firstRow, firstRow + end - start], [k0, k1], type)
            return cellsOf(slice).join(' ') === wanted
          })
        }
        const fewest = [0]
        for (let end = 1; end <= lists.length; end++) {
          const counts = fewest.map((count, start) => (isOneSlice(start, end) ? count + 1 : infinity))
          fewest.push(Math.min(...counts))
        }
        expect(bandToSlices(band).length).toBe(fewest[lists.length])
      }),
      { numRuns: 1000 },
    )
  })
})
