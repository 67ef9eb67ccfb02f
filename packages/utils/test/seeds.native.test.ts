import { ArgumentError } from '@magi-attention/common'
import { randn } from '@magi-attention/tensor'
import { describe, expect, it } from 'vitest'
import { set_random_seed, str2seed } from '../src/seeds.js'

describe('set_random_seed', () => {
  it('makes random tensors repeat', () => {
    set_random_seed(str2seed('a run'))
    const first = randn(16).tolist()
    expect(randn(16).tolist()).not.toEqual(first)
    set_random_seed(str2seed('a run'))
    expect(randn(16).tolist()).toEqual(first)
  })

  it('refuses what is not a seed', () => {
    expect(() => set_random_seed(-1)).toThrow(ArgumentError)
    expect(() => set_random_seed(1.5)).toThrow(/^seed: /)
  })
})
