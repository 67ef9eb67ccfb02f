import type { Band } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildSparseTilePlan, buildTilePlan } from './build-tile-plan.js'
import { transposeBands } from './pack-bands.js'
import { BAND_FIELDS, type TilePlan, type TilePlanOptions } from './tile-plan.js'
import { tileRunsOf, visitTiles } from './visit-tiles.js'

const INFINITY = Number.POSITIVE_INFINITY

/**
 * Every mask type over the same rectangle, and free diagonal bounds; some bands are empty, some leave the
 * plan.
 */
const band: fc.Arbitrary<Band> = fc
  .record({
    rows: fc.tuple(fc.integer({ min: -3, max: 44 }), fc.integer({ min: -3, max: 44 })),
    cols: fc.tuple(fc.integer({ min: -3, max: 44 }), fc.integer({ min: -3, max: 44 })),
    kind: fc.constantFrom('full', 'causal', 'inv_causal', 'bi_causal', 'window', 'below', 'above'),
    bound: fc.integer({ min: -40, max: 40 }),
    width: fc.integer({ min: -1, max: 20 }),
  })
  .map(({ rows, cols, kind, bound, width }) => {
    const [q0, q1] = rows[0] < rows[1] ? rows : [rows[1], rows[0]]
    const [k0, k1] = cols[0] < cols[1] ? cols : [cols[1], cols[0]]
    const bounds = {
      full: [-INFINITY, INFINITY],
      causal: [-INFINITY, k1 - q1],
      inv_causal: [k0 - q0, INFINITY],
      bi_causal: [k0 - q0, k1 - q1],
      window: [bound, bound + width],
      below: [-INFINITY, bound],
      above: [bound, INFINITY],
    } as const
    return { q0, q1, k0, k1, lo: bounds[kind][0], hi: bounds[kind][1] }
  })

/** Bands that meet without a gap: documents, blocks, and diagonals that complete each other. */
const tiling: fc.Arbitrary<Band[]> = fc
  .tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 40 }), fc.integer({ min: -20, max: 20 }))
  .map(([row, col, diagonal]) => [
    { q0: 0, q1: row, k0: 0, k1: col, lo: -INFINITY, hi: diagonal },
    { q0: 0, q1: row, k0: 0, k1: col, lo: diagonal + 1, hi: INFINITY },
    { q0: row, q1: 40, k0: 0, k1: col, lo: -INFINITY, hi: INFINITY },
    { q0: 0, q1: 40, k0: col, k1: 40, lo: -INFINITY, hi: INFINITY },
  ])

function planOptions(bands: fc.Arbitrary<Band[]>): fc.Arbitrary<TilePlanOptions> {
  return fc.record({
    bands,
    numRows: fc.integer({ min: 0, max: 41 }),
    numCols: fc.integer({ min: 0, max: 41 }),
    tileRows: fc.integer({ min: 1, max: 16 }),
    tileCols: fc.integer({ min: 1, max: 16 }),
    alignCols: fc.boolean(),
  })
}

const someBands = fc.oneof(
  { weight: 3, arbitrary: fc.array(band, { minLength: 1, maxLength: 8 }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(tiling, fc.array(band, { maxLength: 3 }))
      .chain(([whole, more]) => fc.shuffledSubarray([...whole, ...more], { minLength: 3 })),
  },
)

const sees = (bands: readonly Band[], row: number, col: number): boolean =>
  bands.some(
    ({ q0, q1, k0, k1, lo, hi }) =>
      q0 <= row && row < q1 && k0 <= col && col < k1 && lo <= col - row && col - row <= hi,
  )

function matrixOf(bands: readonly Band[], numRows: number, numCols: number): boolean[][] {
  return Array.from({ length: numRows }, (_, row) =>
    Array.from({ length: numCols }, (_, col) => sees(bands, row, col)),
  )
}

function bandAt(plan: TilePlan, index: number): Band {
  const [q0, q1, k0, k1, lo, hi] = plan.bands.subarray(index * BAND_FIELDS) as unknown as number[]
  return { q0: q0!, q1: q1!, k0: k0!, k1: k1!, lo: lo!, hi: hi! }
}

/** What a kernel would compute, cell by cell; checks the promises about every visit on the way. */
function cellsVisited(plan: TilePlan, mask: boolean[][]): boolean[][] {
  const cells = mask.map(row => row.map(() => false))
  const visited = mask.map(row => row.map(() => false))
  for (const { rowBegin, rowEnd, colBegin, colEnd, masked, bands } of visitTiles(plan)) {
    const tileBands = bands.map(index => bandAt(plan, index))
    const used = new Set<Band>()
    let visible = 0
    for (let row = rowBegin; row < rowEnd; row++) {
      for (let col = colBegin; col < colEnd; col++) {
        expect(visited[row]![col]).toBe(false)
        visited[row]![col] = true
        cells[row]![col] = !masked || sees(tileBands, row, col)
        if (mask[row]![col]) visible += 1
        for (const one of tileBands) if (sees([one], row, col)) used.add(one)
      }
    }
    expect(visible).toBeGreaterThan(0)
    expect(masked).toBe(visible < (rowEnd - rowBegin) * (colEnd - colBegin))
    expect(used.size).toBe(bands.length)
  }
  return cells
}

/** The fewest column tiles for the rows [rowBegin, rowEnd), found column by column. */
function fewestTiles(mask: boolean[][], plan: TilePlan, tile: number): number {
  const rows = mask.slice(tile * plan.tileRows, (tile + 1) * plan.tileRows)
  let tiles = 0
  for (let col = 0; col < plan.numCols; ) {
    if (rows.some(row => row[col])) {
      tiles += 1
      col = (plan.alignedCols ? col - (col % plan.tileCols) : col) + plan.tileCols
    } else col += 1
  }
  return tiles
}

describe('buildTilePlan over generated masks', () => {
  it('visits exactly the cells of the mask, once, with exact marks', () => {
    fc.assert(
      fc.property(planOptions(someBands), options => {
        const mask = matrixOf(options.bands, options.numRows, options.numCols)
        expect(cellsVisited(buildTilePlan(options), mask)).toEqual(mask)
      }),
      { numRuns: 2500 },
    )
  })

  it('describes the same cells when transposed', () => {
    fc.assert(
      fc.property(planOptions(someBands), options => {
        const mask = matrixOf(options.bands, options.numRows, options.numCols)
        const transposed = Array.from({ length: options.numCols }, (_, col) => mask.map(row => row[col]!))
        const { numRows, numCols } = options
        const bands = transposeBands(options.bands)
        const plan = buildTilePlan({ ...options, bands, numRows: numCols, numCols: numRows })
        expect(cellsVisited(plan, transposed)).toEqual(transposed)
      }),
      { numRuns: 1000 },
    )
  })

  it('uses the fewest column tiles, in maximal runs of the promised order', () => {
    fc.assert(
      fc.property(planOptions(someBands), options => {
        const plan = buildTilePlan(options)
        const mask = matrixOf(options.bands, options.numRows, options.numCols)
        for (let tile = 0; tile < plan.numTiles; tile++) {
          const runs = tileRunsOf(plan, tile)
          expect(runs.reduce((sum, run) => sum + run.numColTiles, 0)).toBe(fewestTiles(mask, plan, tile))

          const byColumn = runs.toSorted((a, b) => a.colBegin - b.colBegin)
          const maskedFirst = [
            ...byColumn.filter(run => run.bands.length > 0),
            ...byColumn.filter(run => run.bands.length === 0),
          ]
          expect(runs).toEqual(plan.alignedCols ? byColumn : maskedFirst)
          if (plan.alignedCols) expect(runs.every(run => run.colBegin % plan.tileCols === 0)).toBe(true)

          for (let i = 1; i < byColumn.length; i++) {
            const [before, after] = [byColumn[i - 1]!, byColumn[i]!]
            const touch = before.colBegin + before.numColTiles * plan.tileCols === after.colBegin
            if (touch) expect(before.bands).not.toEqual(after.bands)
          }
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('gives the same runs for one band with and without arrays', () => {
    fc.assert(
      fc.property(planOptions(fc.array(band, { maxLength: 1 })), options => {
        const dense = buildTilePlan(options)
        const sparse = buildSparseTilePlan(options)
        expect(dense.runs).toBeNull()
        expect(sparse.runs).not.toBeNull()
        for (let tile = 0; tile < dense.numTiles; tile++) {
          expect(tileRunsOf(sparse, tile)).toEqual(tileRunsOf(dense, tile))
        }
      }),
      { numRuns: 1500 },
    )
  })

  it('does not depend on the order of the bands', () => {
    fc.assert(
      fc.property(
        planOptions(someBands).chain(options =>
          fc.tuple(
            fc.constant(options),
            fc.shuffledSubarray([...options.bands], { minLength: options.bands.length }),
          ),
        ),
        ([options, shuffled]) => {
          const visits = (bands: readonly Band[]) =>
            Array.from(visitTiles(buildTilePlan({ ...options, bands })), ({ bands: _, ...visit }) => visit)
              .map(visit => JSON.stringify(visit))
              .toSorted()
          expect(visits(shuffled)).toEqual(visits(options.bands))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('orders row tiles by falling cost, ties by index', () => {
    fc.assert(
      fc.property(planOptions(someBands), options => {
        const plan = buildSparseTilePlan(options)
        const costs = Array.from({ length: plan.numTiles }, (_, tile) =>
          tileRunsOf(plan, tile).reduce(
            (sum, run) => sum + run.numColTiles * (run.bands.length > 0 ? 13 : 10),
            0,
          ),
        )
        const expected = costs.map((_, tile) => tile).sort((a, b) => costs[b]! - costs[a]!)
        expect(Array.from(plan.tileOrder!)).toEqual(expected)
      }),
      { numRuns: 500 },
    )
  })

  it('takes memory by the bands that meet each row tile', () => {
    fc.assert(
      fc.property(planOptions(someBands), options => {
        const plan = buildSparseTilePlan(options)
        let met = 0
        for (let tile = 0; tile < plan.numTiles; tile++) {
          const end = Math.min((tile + 1) * plan.tileRows, plan.numRows)
          for (let at = 0; at < plan.bands.length; at += BAND_FIELDS) {
            if (plan.bands[at]! < end && plan.bands[at + 1]! > tile * plan.tileRows) met += 1
          }
        }
        expect(plan.tileRuns!.at(-1)! * 4).toBe(plan.runs!.length)
        expect(plan.runs!.length / 4).toBeLessThanOrEqual(4 * met)
        const arrays = [plan.bands, plan.tileOrder!, plan.tileRuns!, plan.runs!, plan.runBands!]
        expect(plan.byteLength).toBe(arrays.reduce((sum, array) => sum + 4 * array.length, 0))
      }),
      { numRuns: 500 },
    )
  })
})
