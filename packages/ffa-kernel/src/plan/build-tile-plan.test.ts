import { ArgumentError, type Band } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { buildSparseTilePlan, buildTilePlan } from './build-tile-plan.js'
import { type TilePlanOptions, UNBOUNDED } from './tile-plan.js'
import { tileRunsOf } from './visit-tiles.js'

const INFINITY = Number.POSITIVE_INFINITY

const full = (q0: number, q1: number, k0: number, k1: number): Band => ({
  q0,
  q1,
  k0,
  k1,
  lo: -INFINITY,
  hi: INFINITY,
})
const causal = (q0: number, q1: number, k0: number, k1: number): Band => ({
  ...full(q0, q1, k0, k1),
  hi: k1 - q1,
})
const square = (size: number, tile: number) => ({
  numRows: size,
  numCols: size,
  tileRows: tile,
  tileCols: tile,
})

const masked = (colBegin: number, numColTiles: number, ...bands: number[]) => ({
  colBegin,
  numColTiles,
  bands,
})
const seen = (colBegin: number, numColTiles: number) => ({ colBegin, numColTiles, bands: [] })

const runsOf = (options: TilePlanOptions) => {
  const plan = buildTilePlan(options)
  return Array.from({ length: plan.numTiles }, (_, tile) => tileRunsOf(plan, tile))
}

describe('buildTilePlan of one band', () => {
  it('needs no arrays for full, causal and sliding window masks', () => {
    for (const band of [full(0, 8, 0, 8), causal(2, 7, 0, 8), { ...full(0, 8, 0, 8), lo: -3, hi: 0 }]) {
      const plan = buildTilePlan({ bands: [band], ...square(8, 4) })
      expect(plan).toMatchObject({ numTiles: 2, tileOrder: null, tileRuns: null, runs: null, runBands: null })
      expect(plan.byteLength).toBe(24)
    }
  })

  it('is dense, too, when the other bands hold no cell', () => {
    const bands = [
      full(3, 3, 0, 8),
      causal(0, 8, 0, 8),
      full(8, 9, 0, 8),
      { ...full(0, 8, 0, 8), lo: 1, hi: 0 },
    ]
    const plan = buildTilePlan({ bands, ...square(8, 4) })
    expect(plan.runs).toBeNull()
    expect(Array.from(plan.bands)).toEqual([0, 8, 0, 8, -UNBOUNDED, 0])
  })

  it('cuts a causal mask of 3 queries and 5 keys into 2 x 2 tiles', () => {
    // The rows see 3, 4 and 5 keys; the last tile of the last row is short and full.
    const options = { bands: [causal(0, 3, 0, 5)], numRows: 3, numCols: 5, tileRows: 2, tileCols: 2 }
    expect(runsOf(options)).toEqual([[masked(2, 1, 0), seen(0, 1)], [seen(0, 3)]])
    expect(runsOf({ ...options, alignCols: true })).toEqual([[seen(0, 1), masked(2, 1, 0)], [seen(0, 3)]])
  })

  it('leaves out the rows that see nothing', () => {
    // Causal with more queries than keys: rows 0 and 1 are empty, then 1, 2 and 3 keys.
    const options = { bands: [causal(0, 5, 0, 3)], numRows: 5, numCols: 3, tileRows: 2, tileCols: 2 }
    expect(runsOf(options)).toEqual([[], [masked(0, 1, 0)], [seen(0, 2)]])
    expect(Array.from(buildTilePlan(options).bands)).toEqual([2, 5, 0, 3, -UNBOUNDED, -2])
  })

  it('begins the column tiles of a window where its hull begins, or on the grid', () => {
    const window = { ...full(0, 16, 0, 16), lo: -6, hi: 0 }
    // Rows 8 to 11 see columns 2 to 11, and all of them 5 to 8.
    const runs = runsOf({ bands: [window], ...square(16, 4) })
    expect(runs[2]).toEqual([masked(2, 3, 0)])
    const narrow = runsOf({ bands: [window], ...square(16, 4), tileCols: 3 })
    expect(narrow[2]).toEqual([masked(2, 1, 0), masked(8, 2, 0), seen(5, 1)])
    const aligned = runsOf({ bands: [window], ...square(16, 4), tileCols: 2, alignCols: true })
    expect(aligned[2]).toEqual([masked(2, 2, 0), seen(6, 1), masked(8, 2, 0)])
  })

  it('plans an empty mask, and empty sequences', () => {
    expect(runsOf({ bands: [], ...square(8, 4) })).toEqual([[], []])
    expect(buildTilePlan({ bands: [full(0, 8, 0, 8)], ...square(0, 4) }).numTiles).toBe(0)
    expect(runsOf({ bands: [full(0, 8, 0, 8)], ...square(8, 4), numCols: 0 })).toEqual([[], []])
    expect(Array.from(buildSparseTilePlan({ bands: [], ...square(0, 4) }).tileRuns!)).toEqual([0])
  })
})

describe('buildTilePlan of several bands', () => {
  it('marks a tile full that documents and blocks cover together', () => {
    const bands = [full(0, 3, 0, 8), full(3, 8, 0, 5), full(3, 8, 5, 8)]
    expect(runsOf({ bands, ...square(8, 8) })).toEqual([[seen(0, 1)]])
  })

  it('marks a tile full that two diagonals cover together', () => {
    const below = { ...full(0, 8, 0, 8), hi: 2 }
    expect(runsOf({ bands: [below, { ...full(0, 8, 0, 8), lo: 3 }], ...square(8, 8) })).toEqual([
      [seen(0, 1)],
    ])
    const gap = { ...full(0, 8, 0, 8), lo: 4 }
    expect(runsOf({ bands: [below, gap], ...square(8, 8) })).toEqual([[masked(0, 1, 0, 1)]])
  })

  it('visits two short documents in one tile, which names both', () => {
    const bands = [causal(0, 3, 0, 3), causal(3, 8, 3, 8)]
    const plan = buildTilePlan({ bands, ...square(8, 8) })
    expect(tileRunsOf(plan, 0)).toEqual([masked(0, 1, 0, 1)])
    expect(Array.from(plan.runs!)).toEqual([0, 1, 0, 2])
    expect(Array.from(plan.runBands!)).toEqual([0, 1])
  })

  it('counts what is covered twice once, and leaves covered bands out', () => {
    const bands = [causal(0, 8, 0, 8), causal(0, 8, 0, 8), full(5, 8, 0, 4), full(2, 3, 0, 1)]
    expect(runsOf({ bands, ...square(8, 8) })).toEqual([[masked(0, 1, 0)]])
    const nested = [full(0, 4, 0, 4), full(0, 4, 0, 8), full(0, 4, 1, 3)]
    expect(runsOf({ bands: nested, ...square(8, 8) })).toEqual([[masked(0, 1, 1)]])
  })

  it('skips the columns that no row sees', () => {
    const bands = [full(0, 4, 0, 5), full(0, 4, 21, 22), full(0, 4, 30, 40)]
    const options = { bands, numRows: 4, numCols: 40, tileRows: 4, tileCols: 4 }
    expect(runsOf(options)).toEqual([[masked(4, 1, 0), masked(21, 1, 1), seen(0, 1), seen(30, 3)]])
    expect(runsOf({ ...options, alignCols: true })).toEqual([
      [seen(0, 1), masked(4, 1, 0), masked(20, 1, 1), masked(28, 1, 2), seen(32, 2)],
    ])
  })

  it('starts the tiles with most work first', () => {
    const bands = [full(0, 4, 0, 4), full(4, 8, 0, 16), causal(8, 12, 0, 4), full(12, 16, 0, 4)]
    const plan = buildTilePlan({ bands, ...square(16, 4) })
    expect(Array.from(plan.tileOrder!)).toEqual([1, 2, 0, 3])
  })

  it('grows with the runs and not with the tiles', () => {
    // 2^20 tokens: 48 million tiles in 8,192 row tiles.
    const size = 2 ** 20
    const bands = [causal(0, size / 2, 0, size / 2), full(size / 2, size, 0, size)]
    const plan = buildTilePlan({ bands, ...square(size, 128) })
    expect(plan.runs!.length / 4).toBe(2 * 4096 - 1 + 4096)
    expect(plan.byteLength).toBeLessThan(300_000)
    expect(tileRunsOf(plan, 4095)).toEqual([masked(4095 * 128, 1, 0), seen(0, 4095)])
    expect(tileRunsOf(plan, 8191)).toEqual([seen(0, 8192)])
  })

  it('plans the longest axes without overflow', () => {
    const size = 2 ** 30 - 1
    const options = { bands: [causal(0, size, 0, size)], ...square(size, 2 ** 20), tileCols: 64 }
    const expected = [masked(size - (2 ** 20 - 1), 2 ** 14, 0), seen(0, (2 ** 30 - 2 ** 20) / 64)]
    const last = { ...expected[0]!, colBegin: 2 ** 30 - 2 ** 20 }
    for (const plan of [buildTilePlan(options), buildSparseTilePlan(options)]) {
      expect(tileRunsOf(plan, 1023)).toEqual([last, expected[1]])
    }
  })

  it('leaves its input alone', () => {
    const bands = Object.freeze([Object.freeze(causal(0, 9, 0, 9)), Object.freeze(full(2, 40, 0, 4))])
    expect(() => buildTilePlan(Object.freeze({ bands, ...square(16, 4) }))).not.toThrow()
  })
})

describe('buildTilePlan of nonsense', () => {
  const good = { bands: [full(0, 8, 0, 8)], ...square(8, 4) }

  it.each([
    ['numRows', -1],
    ['numRows', 2 ** 30],
    ['numCols', 1.5],
    ['numCols', Number.NaN],
    ['tileRows', 0],
    ['tileCols', '128'],
    ['alignCols', 1],
    ['bands', null],
  ])('refuses %s = %s', (argument, value) => {
    const build = () => buildTilePlan({ ...good, [argument]: value } as unknown as TilePlanOptions)
    expect(build).toThrow(ArgumentError)
    expect(build).toThrow(`${argument}: expected`)
  })

  it.each([
    ['q0', 0.5],
    ['q1', INFINITY],
    ['k0', '0'],
    ['k0', -(2 ** 30) - 1],
    ['k1', 2 ** 30 + 1],
    ['lo', Number.NaN],
    ['hi', 0.25],
  ])('refuses a band with %s = %s', (field, value) => {
    const bands = [full(0, 1, 0, 1), { ...full(0, 8, 0, 8), [field]: value } as unknown as Band]
    const build = () => buildTilePlan({ ...good, bands })
    expect(build).toThrow(ArgumentError)
    expect(build).toThrow(`bands[1].${field}: expected`)
  })
})
