import { ArgumentError, DTypeError } from '@magi-attention/common'
import { cat, manual_seed, rand, randn, randn_like, set_num_threads, zeros } from '@magi-attention/tensor'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { flat } from './helpers.js'

beforeEach(() => manual_seed(11))
afterEach(() => set_num_threads(2))

describe('randn', () => {
  it('has the moments and tails of the normal distribution', () => {
    const count = 1_000_000
    const values = flat(randn(count))
    const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / count
    // Six standard errors of each moment.
    expect(Math.abs(moment(1))).toBeLessThan(6 / Math.sqrt(count))
    expect(Math.abs(moment(2) - 1)).toBeLessThan(6 * Math.sqrt(2 / count))
    expect(Math.abs(moment(3))).toBeLessThan(6 * Math.sqrt(15 / count))
    expect(Math.abs(moment(4) - 3)).toBeLessThan(6 * Math.sqrt(96 / count))
    for (const [bound, share] of [
      [1, 0.317310508],
      [2, 0.045500264],
      [3, 0.002699796],
    ] as const) {
      const outside = values.filter(value => Math.abs(value) > bound).length / count
      expect(Math.abs(outside - share)).toBeLessThan(6 * Math.sqrt((share * (1 - share)) / count))
    }
  })

  it('has neighbours that do not depend on each other', () => {
    const values = flat(randn(400_000))
    for (const lag of [1, 2, 3, 4]) {
      const products = values.slice(lag).map((value, i) => value * values[i]!)
      const mean = products.reduce((sum, value) => sum + value, 0) / products.length
      expect(Math.abs(mean)).toBeLessThan(6 / Math.sqrt(products.length))
    }
  })

  it('gives the same numbers for any number of threads', () => {
    const drawn = [1, 2, 3].map(threads => {
      set_num_threads(threads)
      manual_seed(4)
      return randn(300_001)
    })
    expect(drawn[1]!.equal(drawn[0]!)).toBe(true)
    expect(drawn[2]!.equal(drawn[0]!)).toBe(true)
  })

  it('gives the same numbers however they are split into calls', () => {
    const whole = randn(1000)
    manual_seed(11)
    const parts = [1, 2, 3, 5, 7, 982].map(size => randn(size))
    expect(cat(parts).equal(whole)).toBe(true)
  })

  it('differs between dtypes by rounding only', () => {
    const single = randn(1001)
    for (const dtype of ['bfloat16', 'float16'] as const) {
      manual_seed(11)
      expect(randn([1001], { dtype }).equal(single.to(dtype))).toBe(true)
    }
    manual_seed(11)
    expect(randn([1001], { dtype: 'float64' }).to('float32').equal(single)).toBe(true)
  })

  it('depends on the seed and moves on with each call', () => {
    const first = randn(8)
    const second = randn_like(first)
    expect(second.equal(first)).toBe(false)
    manual_seed(12)
    expect(randn(8).equal(first)).toBe(false)
    manual_seed(11n)
    expect(randn(2, 4).view(8).equal(first)).toBe(true)
  })

  it('takes sizes both ways', () => {
    expect(randn(2, 3, { dtype: 'bfloat16', requires_grad: true }).shape).toEqual([2, 3])
    expect(randn([2, 3], { dtype: 'float64' }).dtype).toBe('float64')
    const like = randn_like(zeros([2, 2], { dtype: 'float16' }), { dtype: 'float32' })
    expect([like.shape, like.dtype]).toEqual([[2, 2], 'float32'])
  })

  it('refuses integers and bad seeds', () => {
    expect(() => randn([2], { dtype: 'int32' })).toThrow(DTypeError)
    for (const seed of [-1, 1.5, Number.NaN, 2n ** 64n, '1' as unknown as number]) {
      expect(() => manual_seed(seed)).toThrow(ArgumentError)
    }
    manual_seed(2n ** 64n - 1n)
  })
})

describe('rand', () => {
  it('is uniform in [0, 1)', () => {
    const values = flat(rand(200_000))
    expect(Math.min(...values.slice(0, 1000))).toBeGreaterThanOrEqual(0)
    expect(values.every(value => value >= 0 && value < 1)).toBe(true)
    const buckets = new Array<number>(10).fill(0)
    for (const value of values) buckets[Math.floor(value * 10)]!++
    const chiSquare = buckets.reduce((sum, count) => sum + (count - 20_000) ** 2 / 20_000, 0)
    // The 1 - 1e-6 quantile of chi-square with 9 degrees of freedom is about 45.
    expect(chiSquare).toBeLessThan(45)
  })

  it('stays below 1 when rounded to bfloat16', () => {
    expect(
      rand([100_000], { dtype: 'bfloat16' })
        .to_float32_array()
        .every(value => value < 1),
    ).toBe(true)
  })
})
