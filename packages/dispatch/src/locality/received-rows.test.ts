import type { Band } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chunkNeeds } from './chunk-needs.js'
import { receivedRows } from './received-rows.js'

const TOTAL = 20
const band = fc
  .tuple(...Array.from({ length: 4 }, () => fc.nat(TOTAL)), fc.integer({ min: -25, max: 25 }), fc.nat(30))
  .map(([a, b, c, d, lo, width]): Band => {
    const [q0, q1, k0, k1] = [Math.min(a!, b!), Math.max(a!, b!), Math.min(c!, d!), Math.max(c!, d!)]
    return { q0, q1, k0, k1, lo: lo! < -20 ? Number.NEGATIVE_INFINITY : lo!, hi: lo! + width! }
  })
const masks = fc.array(band, { maxLength: 4 })

function sees(bands: readonly Band[], q: number, k: number): boolean {
  return bands.some(
    ({ q0, q1, k0, k1, lo, hi }) => q0 <= q && q < q1 && k0 <= k && k < k1 && lo <= k - q && k - q <= hi,
  )
}

const tokens = Array.from({ length: TOTAL }, (_, i) => i)

describe('chunkNeeds', () => {
  it('finds exactly the keys that a row of the chunk attends to', () => {
    fc.assert(
      fc.property(masks, fc.integer({ min: 1, max: 7 }), (bands, chunkSize) => {
        const { offsets, starts, ends } = chunkNeeds({ bands, totalTokens: TOTAL, chunkSize })
        for (let chunk = 0; chunk * chunkSize < TOTAL; chunk++) {
          const found: number[] = []
          for (let i = offsets[chunk]!; i < offsets[chunk + 1]!; i++) {
            for (let key = starts[i]!; key < ends[i]!; key++) found.push(key)
          }
          const rows = tokens.slice(chunk * chunkSize, (chunk + 1) * chunkSize)
          expect(found).toEqual(tokens.filter(key => rows.some(row => sees(bands, row, key))))
        }
      }),
    )
  })

  it.each([
    [{ totalTokens: 1.5 }, /totalTokens: expected an integer/],
    [{ chunkSize: 0 }, /chunkSize: expected an integer >= 1/],
    [{ totalTokens: 4 }, /bands\[0\]: expected rows and keys within \[0, 4\), got "rows \[0, 8\)/],
  ])('refuses %o', (wrong, message) => {
    const bands = [{ q0: 0, q1: 8, k0: 0, k1: 8, lo: Number.NEGATIVE_INFINITY, hi: 0 }]
    expect(() => chunkNeeds({ bands, totalTokens: 8, chunkSize: 2, ...wrong })).toThrow(message)
  })
})

describe('receivedRows', () => {
  it('counts each foreign row that a rank needs once', () => {
    fc.assert(
      fc.property(masks, fc.integer({ min: 1, max: 7 }), fc.array(fc.nat(3)), (bands, chunkSize, draws) => {
        const numChunks = Math.ceil(TOTAL / chunkSize)
        const rankOfChunk = Array.from({ length: numChunks }, (_, i) => draws[i] ?? i % 4)
        const rankOf = (token: number) => rankOfChunk[Math.floor(token / chunkSize)]
        const result = receivedRows({ bands, totalTokens: TOTAL, chunkSize, rankOfChunk, numRanks: 4 })
        for (let rank = 0; rank < 4; rank++) {
          const rows = tokens.filter(row => rankOf(row) === rank)
          const keys = tokens.filter(key => rows.some(row => sees(bands, row, key)))
          expect(result.perRank[rank]).toBe(keys.filter(key => rankOf(key) !== rank).length)
          const cells = rows.map(row => tokens.filter(key => sees(bands, row, key)).length)
          expect(result.work[rank]).toBe(cells.reduce((a, b) => a + b, 0))
        }
        const work = [...result.work]
        const total = work.reduce((a, b) => a + b, 0)
        expect(result.imbalance).toBeCloseTo(total === 0 ? 1 : (Math.max(...work) * 4) / total, 12)
        expect(result.max).toBe(Math.max(...result.perRank))
        expect(result.mean * 4).toBeCloseTo(
          [...result.perRank].reduce((a, b) => a + b, 0),
          9,
        )
      }),
    )
  })

  it.each([
    [{ rankOfChunk: [0] }, 'rankOfChunk: expected one entry for each of 2 chunks, got 1'],
    [{ rankOfChunk: [0, 2] }, 'rankOfChunk[1]: expected a rank below 2, got 2'],
    [{ rankOfChunk: [0, -1] }, 'rankOfChunk[1]: expected an integer >= 0, got -1'],
    [{ workloads: [1, 2, 3] }, 'workloads: expected one entry for each of 2 chunks, got 3'],
    [{ numRanks: 0 }, 'numRanks: expected an integer >= 1, got 0'],
  ])('refuses %o', (wrong, message) => {
    const right = { bands: [], totalTokens: 8, chunkSize: 4, rankOfChunk: [0, 1], numRanks: 2 }
    expect(() => receivedRows({ ...right, ...wrong })).toThrow(message)
  })
})
