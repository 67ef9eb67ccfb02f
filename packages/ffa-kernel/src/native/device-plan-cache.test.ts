import { type Tensor, tensor } from '@magi-attention/tensor'
import { newEmpty } from '@magi-attention/tensor/internal'
import { describe, expect, it } from 'vitest'
import { DevicePlanCache, slicesKey } from './device-plan-cache.js'
import { type NativePlan, newNativePlan } from './native-plan.js'

const planOf = (words: number): NativePlan => newNativePlan(newEmpty([words], 'int32'), null)

describe('DevicePlanCache', () => {
  it('makes a plan once', () => {
    const cache = new DevicePlanCache()
    const plan = cache.get('a', () => planOf(4))
    expect(cache.get('a', () => expect.unreachable())).toBe(plan)
    expect(cache.get('b', () => planOf(4))).not.toBe(plan)
  })

  it('frees the plans that were used longest ago, beyond 64', () => {
    const cache = new DevicePlanCache()
    const plans = Array.from({ length: 64 }, (_, i) => cache.get(`${i}`, () => planOf(4)))
    cache.get('0', () => expect.unreachable())
    cache.get('64', () => planOf(4))
    const freed = plans.map(plan => plan.memory!.is_disposed)
    expect(freed.indexOf(true)).toBe(1)
    expect(freed.filter(Boolean)).toHaveLength(1)
  })

  it('keeps a plan for its own call, however large, and frees all when it is cleared', () => {
    const cache = new DevicePlanCache()
    const [first, large] = [planOf(4), planOf(2 ** 26 + 64)]
    cache.get('first', () => first)
    expect(cache.get('large', () => large)).toBe(large)
    expect(first.memory!.is_disposed).toBe(true)
    expect(large.memory!.is_disposed).toBe(false)
    cache.clear()
    expect(large.memory!.is_disposed).toBe(true)
    expect(cache.get('first', () => planOf(4))).not.toBe(first)
  })
})

describe('slicesKey', () => {
  const ranges = (): Tensor => tensor([[0, 4], [4, 8]], { dtype: 'int32' }) // biome-ignore format: pairs

  it('is the same for the same tensors and views of them, until one is written', () => {
    const slices = { qRanges: ranges(), kRanges: ranges(), attnTypeMap: tensor([0, 1], { dtype: 'int32' }) }
    const key = slicesKey(slices)
    expect(slicesKey({ ...slices, qRanges: slices.qRanges.detach() })).toBe(key)
    for (const name of ['qRanges', 'kRanges', 'attnTypeMap'] as const) {
      const before = slicesKey(slices)
      slices[name].copy_(slices[name].clone())
      expect(slicesKey(slices), name).not.toBe(before)
    }
  })

  it('differs for other memory, other parts of it, and other types', () => {
    const qRanges = ranges()
    const kRanges = ranges()
    const keys = [
      { qRanges, kRanges, attnTypeMap: null },
      { qRanges: kRanges, kRanges: qRanges, attnTypeMap: null },
      { qRanges: qRanges.narrow(0, 0, 1), kRanges: kRanges.narrow(0, 0, 1), attnTypeMap: null },
      { qRanges: qRanges.narrow(0, 1, 1), kRanges: kRanges.narrow(0, 1, 1), attnTypeMap: null },
      { qRanges, kRanges, attnTypeMap: Int32Array.of(0, 0) },
      { qRanges, kRanges, attnTypeMap: Int32Array.of(0, 1) },
      { qRanges, kRanges, attnTypeMap: Int32Array.of(1, 0) },
      { qRanges, kRanges, attnTypeMap: Int32Array.of(1, 1) },
    ].map(slicesKey)
    expect(new Set(keys).size).toBe(keys.length)
  })
})
