import { IndexError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { buildTilePlan } from './build-tile-plan.js'
import { isDense } from './tile-plan.js'
import { tileRunsOf, visitTiles } from './visit-tiles.js'

const INFINITY = Number.POSITIVE_INFINITY
const causal = { q0: 0, q1: 5, k0: 0, k1: 5, lo: -INFINITY, hi: 0 }
const options = { bands: [causal], numRows: 5, numCols: 5, tileRows: 3, tileCols: 2 }

describe('visitTiles', () => {
  it('yields the existing cells of each tile', () => {
    const first = { tile: 0, rowBegin: 0, rowEnd: 3 }
    const second = { tile: 1, rowBegin: 3, rowEnd: 5 }
    expect([...visitTiles(buildTilePlan(options))]).toEqual([
      { ...first, colBegin: 0, colEnd: 2, masked: true, bands: [0] },
      { ...first, colBegin: 2, colEnd: 4, masked: true, bands: [0] },
      { ...second, colBegin: 4, colEnd: 5, masked: true, bands: [0] },
      { ...second, colBegin: 0, colEnd: 2, masked: false, bands: [] },
      { ...second, colBegin: 2, colEnd: 4, masked: false, bands: [] },
    ])
  })
})

describe('tileRunsOf', () => {
  it('refuses tiles that the plan does not have', () => {
    for (const bands of [[causal], [causal, { ...causal, q0: 1, lo: 2, hi: 3 }]]) {
      const plan = buildTilePlan({ ...options, bands })
      expect(isDense(plan)).toBe(bands.length === 1)
      for (const tile of [-1, 2, 0.5, Number.NaN]) expect(() => tileRunsOf(plan, tile)).toThrow(IndexError)
    }
  })
})
