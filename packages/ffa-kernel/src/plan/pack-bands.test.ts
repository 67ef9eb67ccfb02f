import type { Band } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { clipBands, packBands, transposeBands } from './pack-bands.js'
import { UNBOUNDED } from './tile-plan.js'

const INFINITY = Number.POSITIVE_INFINITY

function clip(band: Band, numRows: number, numCols: number): number[] {
  const packed = new Int32Array(6)
  packBands([band], packed, 0)
  return Array.from(clipBands(packed, numRows, numCols))
}

describe('packBands', () => {
  it('writes behind what is there, infinite and huge bounds as ±2^30', () => {
    const packed = new Int32Array(13).fill(7)
    const bands = [
      { q0: 0, q1: 1, k0: 2, k1: 3, lo: -INFINITY, hi: INFINITY },
      { q0: 4, q1: 5, k0: 6, k1: 8, lo: -(2 ** 40), hi: -1 },
    ]
    packBands(bands, packed, 1)
    expect(Array.from(packed)).toEqual([7, 0, 1, 2, 3, -UNBOUNDED, UNBOUNDED, 4, 5, 6, 8, -UNBOUNDED, -1])
  })
})

describe('clipBands', () => {
  it('cuts a band to the plan and keeps its diagonals', () => {
    const band = { q0: -2, q1: 20, k0: -5, k1: 30, lo: -3, hi: 2 }
    expect(clip(band, 10, 12)).toEqual([0, 10, 0, 12, -3, 2])
  })

  it('shrinks a band to the rows and columns that see something', () => {
    const band = { q0: 0, q1: 10, k0: 4, k1: 8, lo: 0, hi: 1 }
    expect(clip(band, 10, 12)).toEqual([3, 8, 4, 8, 0, 1])
  })

  it('opens bounds that exclude nothing', () => {
    const band = { q0: 0, q1: 4, k0: 0, k1: 4, lo: -3, hi: 3 }
    expect(clip(band, 4, 4)).toEqual([0, 4, 0, 4, -UNBOUNDED, UNBOUNDED])
    expect(clip({ ...band, lo: -2, hi: 2 }, 4, 4)).toEqual([0, 4, 0, 4, -2, 2])
  })

  it('drops bands without a cell', () => {
    const band = { q0: 0, q1: 4, k0: 0, k1: 4, lo: -INFINITY, hi: INFINITY }
    expect(clip({ ...band, q1: 0 }, 4, 4)).toEqual([])
    expect(clip({ ...band, k0: 4 }, 4, 4)).toEqual([])
    expect(clip({ ...band, lo: 2, hi: 1 }, 4, 4)).toEqual([])
    expect(clip({ ...band, lo: 4 }, 4, 4)).toEqual([])
    expect(clip({ ...band, hi: -4 }, 4, 4)).toEqual([])
    expect(clip({ ...band, hi: -INFINITY }, 4, 4)).toEqual([])
    expect(clip({ ...band, lo: INFINITY }, 4, 4)).toEqual([])
  })
})

describe('transposeBands', () => {
  it('exchanges the axes and mirrors the diagonals', () => {
    const causal = { q0: 0, q1: 3, k0: 0, k1: 5, lo: -INFINITY, hi: 2 }
    const transposed = [{ q0: 0, q1: 5, k0: 0, k1: 3, lo: -2, hi: INFINITY }]
    expect(transposeBands([causal])).toEqual(transposed)
    expect(transposeBands(transposed)).toEqual([causal])
  })

  it('keeps a bound of zero positive', () => {
    const [band] = transposeBands([{ q0: 0, q1: 3, k0: 0, k1: 3, lo: 0, hi: 0 }])
    expect(Object.is(band!.lo, 0) && Object.is(band!.hi, 0)).toBe(true)
  })
})
