import { ArgumentError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { GreedyOverlapAlg } from './greedy-overlap-alg.js'
import { OverlapConfig } from './overlap-config.js'
import { UniformOverlapAlg } from './uniform-overlap-alg.js'

describe('OverlapConfig', () => {
  it('has one remote stage by default', () => {
    const config = new OverlapConfig()
    expect(config).toMatchObject({
      mode: 'static',
      degree: 1,
      dynamic_max_degree: 8,
      min_chunk_size: 512,
      max_num_chunks: 64,
      calc_cost_factor: 1,
      comm_cost_factor: 1,
      no_overlap: false,
      enable: false,
    })
    expect(config.alg).toBeInstanceOf(UniformOverlapAlg)
    expect(Object.isFrozen(config)).toBe(true)
  })

  it('turns degree 0 into one chunk in one stage', () => {
    const config = new OverlapConfig({ mode: 'dynamic', degree: 0 })
    expect(config).toMatchObject({ mode: 'static', degree: 1, max_num_chunks: 1, no_overlap: true })
    expect(config.enable).toBe(false)
    expect(new OverlapConfig({ mode: 'dynamic', degree: 1 }).mode).toBe('static')
  })

  it('is enabled by several stages', () => {
    expect(new OverlapConfig({ degree: 2 }).enable).toBe(true)
    expect(new OverlapConfig({ mode: 'dynamic', degree: null }).enable).toBe(true)
  })

  it('has a text that tells it from others', () => {
    const texts = [
      new OverlapConfig(),
      new OverlapConfig({ degree: 0 }),
      new OverlapConfig({ degree: 2 }),
      new OverlapConfig({ degree: 2, alg: new GreedyOverlapAlg() }),
      new OverlapConfig({ mode: 'dynamic', degree: null }),
      new OverlapConfig({ mode: 'dynamic', degree: null, dynamic_max_degree: null }),
      new OverlapConfig({ min_chunk_size: 7 }),
      new OverlapConfig({ max_num_chunks: 7 }),
      new OverlapConfig({ calc_cost_factor: 7 }),
      new OverlapConfig({ comm_cost_factor: 7 }),
    ].map(config => config.hash())
    expect(new Set(texts).size).toBe(texts.length)
    expect(new OverlapConfig({ degree: 3 }).hash()).toBe(new OverlapConfig({ degree: 3 }).hash())
  })

  it.each([
    [{ mode: 'static', degree: null }, /degree/],
    [{ mode: 'dynamic', degree: 2 }, /degree/],
    [{ degree: 65 }, /max_num_chunks = 64/],
    [{ degree: 1.5 }, /degree/],
    [{ degree: -1 }, /degree/],
    [{ min_chunk_size: 0 }, /min_chunk_size/],
    [{ max_num_chunks: 0, degree: 0 }, /max_num_chunks/],
    [{ dynamic_max_degree: 0 }, /dynamic_max_degree/],
    [{ calc_cost_factor: 0 }, /calc_cost_factor/],
    [{ comm_cost_factor: Number.NaN }, /comm_cost_factor/],
    [{ mode: 'sometimes' }, /mode/],
    [{ alg: {} }, /alg/],
    [{ enable: true }, /overlap_config.enable/],
    [null, /overlap_config/],
  ])('refuses %o', (options, message) => {
    expect(() => new OverlapConfig(options as never)).toThrow(ArgumentError)
    expect(() => new OverlapConfig(options as never)).toThrow(message)
  })
})
