import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bandArea } from './area.js'
import { ATTN_MASK_TYPES } from './attn-mask-type.js'
import { AttnRange } from './attn-range.js'
import { find_doubly_covered } from './double-cover.js'
import { ArgumentError } from './errors/index.js'
import { type Band, intersectBands, sliceToBand } from './rectangle-slices.js'

const slice = (q: [number, number], k: [number, number], type = 0) => ({
  q_range: new AttnRange(...q),
  k_range: new AttnRange(...k),
  mask_type: ATTN_MASK_TYPES[type]!,
})

function cellsOf({ q0, q1, k0, k1, lo, hi }: Band): string[] {
  const cells: string[] = []
  for (let q = q0; q < q1; q++)
    for (let k = k0; k < k1; k++) if (lo <= k - q && k - q <= hi) cells.push(`${q},${k}`)
  return cells
}

/** Checks a result against the cells themselves. */
function expectTrue(bands: Band[]): void {
  const cells = bands.map(cellsOf)
  const isDisjoint = new Set(cells.flat()).size === cells.flat().length
  const found = find_doubly_covered(bands)
  expect(found.length === 0).toBe(isDisjoint)
  expect(found.length).toBeLessThan(Math.max(1, bands.length))
  for (const { slices, cell } of found) {
    expect(slices[0]).toBeLessThan(slices[1])
    for (const i of slices) expect(cells[i]).toContain(cell.join(','))
  }
  // One slice of each pair can be left out so that the rest is disjoint.
  const removals = found.reduce<number[][]>(
    (sets, { slices }) => sets.flatMap(set => slices.map(i => [...set, i])),
    [[]],
  )
  const works = removals.some(removed => {
    const rest = cells.filter((_, i) => !removed.includes(i)).flat()
    return new Set(rest).size === rest.length
  })
  expect(works).toBe(true)
}

describe('find_doubly_covered', () => {
  it('finds nothing in a mask that covers each cell once', () => {
    expect(find_doubly_covered([])).toEqual([])
    expect(
      find_doubly_covered([slice([0, 4], [0, 4], 1), slice([0, 4], [4, 8]), slice([4, 8], [0, 8])]),
    ).toEqual([])
    // Boxes that overlap while the cells do not: the two triangles of a square.
    expect(find_doubly_covered([slice([0, 4], [0, 4], 1), slice([0, 3], [1, 4], 2)])).toEqual([])
  })

  it('names the slices and a cell', () => {
    expect(find_doubly_covered([slice([0, 4], [0, 4], 1), slice([0, 4], [0, 4], 2)])).toEqual([
      { slices: [0, 1], cell: [0, 0] },
    ])
    expect(
      find_doubly_covered([slice([8, 9], [0, 1]), slice([2, 9], [5, 8]), slice([0, 6], [7, 9])]),
    ).toEqual([{ slices: [1, 2], cell: [2, 7] }])
  })

  it('compares slices that become neighbours only when the last ones leave', () => {
    expectTrue([
      { q0: 0, q1: 2, k0: 0, k1: 2, lo: 0, hi: Infinity },
      { q0: 0, q1: 4, k0: 2, k1: 3, lo: -Infinity, hi: Infinity },
      { q0: 0, q1: 6, k0: 0, k1: 5, lo: -Infinity, hi: -1 },
    ])
  })

  it('reads bands and slices', () => {
    expect(find_doubly_covered([sliceToBand([0, 4], [0, 4], 0), slice([3, 5], [3, 5])])).toHaveLength(1)
    expect(find_doubly_covered([slice([0, 4], [2, 2]), slice([3, 5], [0, 5])])).toEqual([])
  })

  it('refuses bounds that are not integers', () => {
    const bad = { q0: 0, q1: 4, k0: 0, k1: Number.NaN, lo: 0, hi: 0 }
    expect(() => find_doubly_covered([bad])).toThrow(ArgumentError)
  })

  it('agrees with the cells of generated bands', () => {
    const range = fc
      .tuple(fc.nat(10), fc.nat(6))
      .map(([start, size]): [number, number] => [start, start + size])
    const band = fc.tuple(range, range, fc.integer({ min: -9, max: 9 }), fc.nat(4), fc.boolean())
    const bands = fc.array(
      band.map(([[q0, q1], [k0, k1], lo, width, isOpen]): Band => {
        const hi = isOpen ? Number.POSITIVE_INFINITY : lo + width
        return { q0, q1, k0, k1, lo: isOpen ? Number.NEGATIVE_INFINITY : lo, hi }
      }),
      { maxLength: 7 },
    )
    fc.assert(fc.property(bands, expectTrue), { numRuns: 3000 })
  })

  it('agrees with the cells of partitions of a square, with and without one slice too many', () => {
    const cuts = fc.array(fc.tuple(fc.nat(30), fc.integer({ min: -12, max: 12 }), fc.nat(2)), {
      maxLength: 12,
    })
    const extra = fc.tuple(fc.nat(12), fc.nat(12), fc.nat(3), fc.nat(3), fc.nat(3))
    fc.assert(
      fc.property(cuts, extra, (cuts, [q, k, sq, sk, type]) => {
        const whole = { q0: 0, q1: 12, k0: 0, k1: 12 }
        let bands: Band[] = [{ ...whole, lo: Number.NEGATIVE_INFINITY, hi: Number.POSITIVE_INFINITY }]
        for (const [which, at, axis] of cuts) {
          const chosen = bands[which % bands.length]!
          const parts = [
            [
              { ...chosen, q1: Math.min(chosen.q1, at) },
              { ...chosen, q0: Math.max(chosen.q0, at) },
            ],
            [
              { ...chosen, k1: Math.min(chosen.k1, at) },
              { ...chosen, k0: Math.max(chosen.k0, at) },
            ],
            [
              { ...chosen, hi: Math.min(chosen.hi, at - 1) },
              { ...chosen, lo: Math.max(chosen.lo, at) },
            ],
          ][axis]!
          bands = [...bands.filter(band => band !== chosen), ...parts]
        }
        expect(find_doubly_covered(bands)).toEqual([])
        const added = sliceToBand([q, q + sq], [k, k + sk], type)
        const isInside = bandArea(intersectBands(added, sliceToBand([0, 12], [0, 12], 'full'))) > 0
        expect(find_doubly_covered([...bands, added]).length > 0).toBe(isInside)
      }),
      { numRuns: 1000 },
    )
  })

  it('takes ten thousand slices', () => {
    const count = 10_000
    const diagonals = Array.from({ length: count }, (_, i): Band => {
      return { q0: 0, q1: count, k0: 0, k1: count, lo: i - count / 2, hi: i - count / 2 }
    })
    expect(find_doubly_covered(diagonals)).toEqual([])
    expect(find_doubly_covered(Array.from({ length: count }, () => slice([0, 9], [0, 9], 1)))).toHaveLength(
      count - 1,
    )
    const blocks = Array.from({ length: count }, (_, i) => slice([8 * i, 8 * i + 8], [8 * i, 8 * i + 8], 1))
    expect(find_doubly_covered(blocks)).toEqual([])
    expect(find_doubly_covered([...blocks, slice([4, 6], [5, 7])])).toHaveLength(1)
  })
})
