import { ArgumentError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { MinHeapDispatchAlg } from './algorithms/min-heap.js'
import { ToppHeapDispatchAlg } from './algorithms/topp-heap.js'
import { DispatchConfig } from './dispatch-config.js'
import { LocalityDispatchAlg } from './locality/locality-dispatch-alg.js'

describe('DispatchConfig', () => {
  it('has defaults', () => {
    const { chunk_size, uneven_shard, alg } = new DispatchConfig()
    expect({ chunk_size, uneven_shard }).toEqual({ chunk_size: null, uneven_shard: false })
    expect(alg).toBeInstanceOf(LocalityDispatchAlg)
  })

  it('cannot be changed', () => {
    const config = new DispatchConfig({ chunk_size: 512 })
    expect(() => Object.assign(config, { chunk_size: 1 })).toThrow(TypeError)
  })

  it('has a key that is equal for equal configurations only', () => {
    const alg = new ToppHeapDispatchAlg({ top_p: 0.5 })
    const config = new DispatchConfig({ chunk_size: 512, alg })
    expect(config.hash()).toBe(
      new DispatchConfig({ chunk_size: 512, alg: new ToppHeapDispatchAlg({ top_p: 0.5 }) }).hash(),
    )
    expect(String(config)).toBe(
      'DispatchConfig(chunk_size=512, uneven_shard=false, alg=ToppHeapDispatchAlg(top_p=0.5))',
    )
    const others = [
      new DispatchConfig({ chunk_size: 256, alg }),
      new DispatchConfig({ chunk_size: 512, alg, uneven_shard: true }),
      new DispatchConfig({ chunk_size: 512, alg: new MinHeapDispatchAlg() }),
      new DispatchConfig({ chunk_size: 512, alg: new ToppHeapDispatchAlg({ top_p: 0.4 }) }),
    ]
    expect(new Set([config, ...others].map(other => other.hash())).size).toBe(5)
  })

  it('refuses what cannot work', () => {
    for (const chunk_size of [0, -4, 1.5, Number.NaN, '64' as never]) {
      expect(() => new DispatchConfig({ chunk_size })).toThrow(/chunk_size: expected an integer >= 1/)
    }
    expect(() => new DispatchConfig({ uneven_shard: 1 as never })).toThrow(/uneven_shard: expected a boolean/)
    expect(() => new DispatchConfig({ alg: 'min_heap' as never })).toThrow(
      /alg: expected a dispatch algorithm/,
    )
    expect(() => new DispatchConfig({ alg: MinHeapDispatchAlg as never })).toThrow(/new MinHeapDispatchAlg/)
    expect(() => new DispatchConfig(64 as never)).toThrow(ArgumentError)
  })
})
