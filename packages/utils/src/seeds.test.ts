import { ArgumentError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { str2seed } from './seeds.js'

describe('str2seed', () => {
  it('is the SHA-256 of the text modulo 2^32', () => {
    // SHA-256("") ends in 7852b855, SHA-256("abc") in f20015ad (FIPS 180-2, appendix B).
    expect(str2seed('')).toBe(0x7852b855)
    expect(str2seed('abc')).toBe(0xf20015ad)
    expect(() => str2seed(1 as unknown as string)).toThrow(ArgumentError)
  })
})
