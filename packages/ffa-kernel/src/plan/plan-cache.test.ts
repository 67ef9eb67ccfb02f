import { ArgumentError, type Band } from '@magi-attention/common'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { buildTilePlan } from './build-tile-plan.js'
import { hashWords } from './hash-words.js'
import { clear_plan_cache, getTilePlan, PlanCache, plan_cache_info } from './plan-cache.js'

const causal = (q0: number, q1: number): Band => ({
  q0,
  q1,
  k0: q0,
  k1: q1,
  lo: Number.NEGATIVE_INFINITY,
  hi: 0,
})
const sizes = { numRows: 64, numCols: 64, tileRows: 16, tileCols: 16 }
const documents = (cut: number) => ({ bands: [causal(0, cut), causal(cut, 64)], ...sizes })
const keyBytes = (numBands: number) => 4 * (5 + 6 * numBands)

describe('PlanCache', () => {
  it('gives the same plan for equal content', () => {
    const cache = new PlanCache()
    const plan = cache.get(documents(20))
    expect(plan).toEqual(buildTilePlan(documents(20)))
    expect(cache.get(documents(20))).toBe(plan)
    expect(cache.get({ ...documents(20), alignCols: false })).toBe(plan)
    expect(cache.info()).toEqual({ hits: 2, misses: 1, entries: 1, bytes: plan.byteLength + keyBytes(2) })
  })

  it('tells apart whatever changes the plan', () => {
    const cache = new PlanCache()
    const base = documents(20)
    const others = [
      { ...base, alignCols: true },
      { ...base, numRows: 63 },
      { ...base, numCols: 63 },
      { ...base, tileRows: 8 },
      { ...base, tileCols: 8 },
      { ...base, bands: base.bands.slice(0, 1) },
      { ...base, bands: base.bands.toReversed() },
      { ...base, bands: [base.bands[0]!, { ...base.bands[1]!, hi: 1 }] },
    ]
    for (const options of [base, ...others]) expect(cache.get(options)).toEqual(buildTilePlan(options))
    expect(cache.info()).toMatchObject({ hits: 0, misses: 9, entries: 9 })
  })

  it('tells masks of one hash apart', () => {
    const head = [64, 64, 16, 16, 0, 0, 64, 0, 64]
    const stateAfter = (lo: number) => hashWords(Int32Array.from([...head, lo]), head.length + 1)
    // The hash folds word after word, so the last one, `hi`, can make up for any difference before it.
    const inReach = (lo: number) => Math.abs(stateAfter(lo) ^ stateAfter(-1)) < 2 ** 30
    const lo = Array.from({ length: 40 }, (_, i) => -2 - i).find(inReach)!
    const options = (band: { lo: number; hi: number }) => ({
      bands: [{ ...causal(0, 64), ...band }],
      ...sizes,
    })
    const first = options({ lo: -1, hi: 0 })
    const second = options({ lo, hi: stateAfter(lo) ^ stateAfter(-1) })

    const cache = new PlanCache()
    expect(cache.get(first)).toEqual(buildTilePlan(first))
    expect(cache.get(second)).toEqual(buildTilePlan(second))
    expect(cache.info()).toMatchObject({ hits: 0, misses: 2, entries: 1, bytes: 24 + keyBytes(1) })
  })

  it('notices a change in the list that it was given', () => {
    const cache = new PlanCache()
    const bands = [causal(0, 20), causal(20, 64)]
    cache.get({ bands, ...sizes })
    bands[0] = causal(4, 20)
    expect(cache.get({ bands, ...sizes })).toEqual(buildTilePlan({ bands, ...sizes }))
    expect(cache.info().hits).toBe(0)
  })

  it('checks the options before it looks', () => {
    const cache = new PlanCache()
    cache.get({ ...documents(20), numRows: 0 })
    for (const numRows of [0.5, Number.NaN, 2 ** 32]) {
      expect(() => cache.get({ ...documents(20), numRows })).toThrow(ArgumentError)
    }
    expect(() => cache.get({ bands: [{ ...causal(0, 20), q0: 0.5 }], ...sizes })).toThrow(ArgumentError)
  })

  it('lets the least recently used plan go when there are too many', () => {
    const cache = new PlanCache({ maxEntries: 2 })
    const first = cache.get(documents(10))
    const second = cache.get(documents(20))
    expect(cache.get(documents(10))).toBe(first)
    cache.get(documents(30))
    expect(cache.info().entries).toBe(2)
    expect(cache.get(documents(10))).toBe(first)
    expect(cache.get(documents(20))).not.toBe(second)
  })

  it('keeps to its bytes, and does not keep a plan larger than all of them', () => {
    const size = buildTilePlan(documents(20)).byteLength + keyBytes(2)
    const cache = new PlanCache({ maxBytes: 2 * size + 40 })
    for (const cut of [18, 20, 22, 24]) cache.get(documents(cut))
    expect(cache.info()).toMatchObject({ entries: 2, bytes: 2 * size })
    const large = { bands: Array.from({ length: 32 }, (_, i) => causal(2 * i, 2 * i + 2)), ...sizes }
    expect(cache.get(large)).not.toBe(cache.get(large))
    expect(cache.info()).toMatchObject({ entries: 2, bytes: 2 * size })
    expect(new PlanCache({ maxEntries: 0 }).get(large).numTiles).toBe(4)
  })

  it('forgets everything when cleared', () => {
    const cache = new PlanCache()
    const plan = cache.get(documents(20))
    cache.get(documents(20))
    cache.clear()
    expect(cache.info()).toEqual({ hits: 0, misses: 0, entries: 0, bytes: 0 })
    expect(cache.get(documents(20))).not.toBe(plan)
  })

  it('refuses limits that are not integers', () => {
    expect(() => new PlanCache({ maxEntries: -1 })).toThrow('maxEntries: expected')
    expect(() => new PlanCache({ maxBytes: Number.NaN })).toThrow(ArgumentError)
  })

  it('agrees with a model of itself over many lookups', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 60 }), cuts => {
        const cache = new PlanCache({ maxEntries: 3 })
        let model: number[] = []
        let hits = 0
        for (const cut of cuts) {
          if (model.includes(cut)) hits += 1
          model = [...model.filter(other => other !== cut), cut].slice(-3)
          expect(cache.get(documents(cut))).toEqual(buildTilePlan(documents(cut)))
        }
        expect(cache.info()).toMatchObject({ hits, misses: cuts.length - hits, entries: model.length })
      }),
    )
  })
})

describe('getTilePlan', () => {
  beforeEach(clear_plan_cache)

  it('goes through the cache that clear_plan_cache empties and plan_cache_info shows', () => {
    const plan = getTilePlan(documents(20))
    expect(getTilePlan(documents(20))).toBe(plan)
    expect(plan_cache_info()).toMatchObject({ hits: 1, misses: 1, entries: 1 })
    clear_plan_cache()
    expect(plan_cache_info()).toEqual({ hits: 0, misses: 0, entries: 0, bytes: 0 })
  })
})
