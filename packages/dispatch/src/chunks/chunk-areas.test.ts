import { ArgumentError, type Band, InvalidRangeError } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chunkAreas } from './chunk-areas.js'

const causal = (seqlen: number): Band => ({
  q0: 0,
  q1: seqlen,
  k0: 0,
  k1: seqlen,
  lo: Number.NEGATIVE_INFINITY,
  hi: 0,
})

/** Cells of each chunk, looked at one by one. */
function bruteForce(bands: readonly Band[], total_seqlen: number, chunk_size: number): number[] {
  const areas = new Array<number>(Math.ceil(total_seqlen / chunk_size)).fill(0)
  for (let q = 0; q < total_seqlen; q++) {
    for (let k = -40; k < 80; k++) {
      const isCovered = bands.some(
        band =>
          band.q0 <= q && q < band.q1 && band.k0 <= k && k < band.k1 && band.lo <= k - q && k - q <= band.hi,
      )
      if (isCovered) areas[Math.floor(q / chunk_size)]!++
    }
  }
  return areas
}

const ends = fc
  .tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 30 }))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
const diagonal = fc.integer({ min: -35, max: 35 })
const band = fc
  .record({
    q: ends,
    k: ends,
    lo: fc.oneof(fc.constant(Number.NEGATIVE_INFINITY), diagonal),
    hi: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), diagonal),
  })
  .map(({ q, k, lo, hi }): Band => ({ q0: q[0], q1: q[1], k0: k[0], k1: k[1], lo, hi }))

describe('chunkAreas', () => {
  it('counts the rows of a causal triangle', () => {
    const areas = chunkAreas({ bands: [causal(16)], total_seqlen: 16, chunk_size: 2 })
    expect([...areas]).toEqual([3, 7, 11, 15, 19, 23, 27, 31])
  })

  it('gives chunks without rows an area of 0', () => {
    expect([...chunkAreas({ bands: [causal(3)], total_seqlen: 9, chunk_size: 2 })]).toEqual([3, 3, 0, 0, 0])
    expect([...chunkAreas({ bands: [], total_seqlen: 5, chunk_size: 5 })]).toEqual([0])
    expect([...chunkAreas({ bands: [], total_seqlen: 0, chunk_size: 5 })]).toEqual([])
  })

  it('counts a cell that several bands cover once', () => {
    const column: Band = { q0: 0, q1: 16, k0: 0, k1: 2, lo: -99, hi: 99 }
    const areas = chunkAreas({ bands: [causal(16), column, causal(16)], total_seqlen: 16, chunk_size: 2 })
    expect([...areas]).toEqual([4, 7, 11, 15, 19, 23, 27, 31])
  })

  it('agrees with counting cells, for up to three bands', () => {
    fc.assert(
      fc.property(fc.array(band, { maxLength: 3 }), fc.integer({ min: 1, max: 12 }), (bands, chunk_size) => {
        const areas = chunkAreas({ bands, total_seqlen: 30, chunk_size })
        expect([...areas]).toEqual(bruteForce(bands, 30, chunk_size))
      }),
      { numRuns: 1000 },
    )
  })

  it('agrees with counting cells, for many bands', () => {
    fc.assert(
      fc.property(
        fc.array(band, { minLength: 4, maxLength: 12 }),
        fc.integer({ min: 1, max: 31 }),
        (bands, chunk_size) => {
          const areas = chunkAreas({ bands, total_seqlen: 30, chunk_size })
          expect([...areas]).toEqual(bruteForce(bands, 30, chunk_size))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('stays exact for 16 M tokens', () => {
    const seqlen = 2 ** 24
    const areas = chunkAreas({ bands: [causal(seqlen)], total_seqlen: seqlen, chunk_size: 2048 })
    expect(areas[0]).toBe((2048 * 2049) / 2)
    expect(areas.reduce((sum, area) => sum + area)).toBe((seqlen / 2) * (seqlen + 1))
    expect(areas[8191]).toBe(2048 * seqlen - (2047 * 2048) / 2)
  })

  it('needs no step for each row where long bands overlap', () => {
    // Row by row, 2^40 rows would never end.
    const seqlen = 2 ** 40
    const window: Band = { q0: 0, q1: 1000, k0: 0, k1: seqlen, lo: 0, hi: 99 }
    const wide: Band = { ...window, q1: seqlen, hi: 9, k1: 1000 }
    const areas = chunkAreas({
      bands: [window, wide, { ...wide, lo: Number.NEGATIVE_INFINITY, hi: Number.POSITIVE_INFINITY, k1: 1 }],
      total_seqlen: seqlen,
      chunk_size: seqlen / 4,
    })
    // The window, and the first column in the rows below its first one.
    expect([...areas]).toEqual([1000 * 100 + seqlen / 4 - 1, seqlen / 4, seqlen / 4, seqlen / 4])
  })

  it('does not change or keep the bands', () => {
    const bands = [Object.freeze(causal(8)), Object.freeze(causal(4))]
    Object.freeze(bands)
    expect([...chunkAreas({ bands, total_seqlen: 8, chunk_size: 4 })]).toEqual([10, 26])
  })

  it('refuses sizes that cannot work, and rows outside of the sequence', () => {
    const bands = [causal(8)]
    for (const chunk_size of [0, -1, 1.5, Number.NaN, '2' as unknown as number]) {
      expect(() => chunkAreas({ bands, total_seqlen: 8, chunk_size })).toThrow(ArgumentError)
    }
    expect(() => chunkAreas({ bands, total_seqlen: 2.5, chunk_size: 2 })).toThrow(/total_seqlen/)
    expect(() => chunkAreas({ bands: [causal(4), causal(8)], total_seqlen: 7, chunk_size: 2 })).toThrow(
      InvalidRangeError,
    )
    expect(() => chunkAreas({ bands: [causal(4), causal(8)], total_seqlen: 7, chunk_size: 2 })).toThrow(
      /bands\[1\].*\[0, 7\)/,
    )
  })
})
