import { ArgumentError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { attn_flops, get_a2a_corr_factor, get_calc_cost_factor, get_comm_cost_factor } from './attn-flops.js'

describe('attn_flops', () => {
  it('counts four operations a cell, head and dimension, and 2.5 times that backward', () => {
    const problem = { area: 10, num_heads_q: 8, head_dim: 128 }
    expect(attn_flops(problem)).toBe(40_960)
    expect(attn_flops({ ...problem, backward: true })).toBe(102_400)
    expect(attn_flops({ ...problem, area: 0 })).toBe(0)
  })

  it.each([
    { area: -1, num_heads_q: 8, head_dim: 128 },
    { area: 1.5, num_heads_q: 8, head_dim: 128 },
    { area: 1, num_heads_q: Number.NaN, head_dim: 128 },
    { area: 1, num_heads_q: 8, head_dim: '128' as unknown as number },
  ])('refuses %o', options => {
    expect(() => attn_flops(options)).toThrow(ArgumentError)
  })
})

describe('get_calc_cost_factor', () => {
  const options = { num_heads_q: 48, head_dim: 128, tflops: 800, mfu: 0.5 }

  it('is 4 * heads * dim over the reached rate', () => {
    expect(get_calc_cost_factor(options)).toBeCloseTo(((4 * 48 * 128) / 800 / 0.5) * 1e6, 6)
    expect(get_calc_cost_factor({ ...options, sec_ratio: 1 })).toBeCloseTo(61.44, 10)
    expect(get_calc_cost_factor({ ...options, sec_ratio: 1, is_fwd: false })).toBeCloseTo(153.6, 10)
  })

  it('refuses a rate of zero', () => {
    expect(() => get_calc_cost_factor({ ...options, tflops: 0 })).toThrow(
      /^tflops: expected a finite number above 0/,
    )
    expect(() => get_calc_cost_factor({ ...options, mfu: Number.NaN })).toThrow(ArgumentError)
  })
})

describe('get_comm_cost_factor', () => {
  const options = { num_heads_kv: 8, head_dim: 128, bandwidth: 64, bwu: 0.5, corr_factor: 0.75 }

  it('is 2 * heads * dim over the reached bandwidth', () => {
    expect(get_comm_cost_factor({ ...options, sec_ratio: 3 })).toBeCloseTo((2048 / 64 / 0.75 / 0.5) * 3, 10)
    expect(get_comm_cost_factor(options)).toBeCloseTo((2048 / 64 / 0.75 / 0.5) * 1e6, 4)
  })

  it('refuses a correction of zero', () => {
    expect(() => get_comm_cost_factor({ ...options, corr_factor: 0 })).toThrow(/^corr_factor: /)
  })
})

describe('get_a2a_corr_factor', () => {
  it('is the share of the data that leaves the rank', () => {
    expect([0, 1, 2, 4, 8].map(get_a2a_corr_factor)).toEqual([1, 1, 0.5, 0.75, 0.875])
    expect(() => get_a2a_corr_factor(1.5)).toThrow(ArgumentError)
  })
})
