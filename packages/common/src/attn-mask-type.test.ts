import { describe, expect, it } from 'vitest'
import {
  ATTN_MASK_TYPES,
  AttnMaskType,
  attn_mask_type_from,
  from_int_type,
  parse_attn_mask_types,
  to_int_type,
} from './attn-mask-type.js'
import { ArgumentError, ShapeError } from './errors/index.js'

describe('AttnMaskType', () => {
  it('has the codes 0 to 3', () => {
    expect(ATTN_MASK_TYPES.map(to_int_type)).toEqual([0, 1, 2, 3])
    expect([0, 1, 2, 3].map(from_int_type)).toEqual(['full', 'causal', 'inv_causal', 'bi_causal'])
    expect(to_int_type(AttnMaskType.INV_CAUSAL)).toBe(2)
    expect(to_int_type(AttnMaskType.BI_CAUSAL)).toBe(3)
  })

  it.each([-1, 4, 0.5, Number.NaN, '1', 'length'])('has no type of code %s', code => {
    expect(() => from_int_type(code as number)).toThrow(ArgumentError)
  })

  it('is made of names and codes', () => {
    expect(attn_mask_type_from('bi_causal')).toBe(AttnMaskType.BI_CAUSAL)
    expect(attn_mask_type_from(1)).toBe(AttnMaskType.CAUSAL)
    for (const bad of ['bad', 'FULL', '0', 4, null, undefined, {}, true] as unknown[]) {
      expect(() => attn_mask_type_from(bad as string)).toThrow(ArgumentError)
    }
    expect(() => to_int_type('bad' as AttnMaskType)).toThrow(ArgumentError)
  })
})

describe('parse_attn_mask_types', () => {
  it('repeats a single type', () => {
    expect(parse_attn_mask_types('causal', 3)).toEqual(['causal', 'causal', 'causal'])
    expect(parse_attn_mask_types(2, 1)).toEqual(['inv_causal'])
    expect(parse_attn_mask_types('full', 0)).toEqual([])
  })

  it('reads lists of names and codes', () => {
    expect(parse_attn_mask_types(['full', AttnMaskType.BI_CAUSAL], 2)).toEqual(['full', 'bi_causal'])
    expect(parse_attn_mask_types(Int32Array.of(1, 0), 2)).toEqual(['causal', 'full'])
  })

  it('names the entry at fault', () => {
    expect(() => parse_attn_mask_types(['full', 'bad'], 2)).toThrow(/^attn_mask_type\[1\]: expected 'full'/)
    expect(() => parse_attn_mask_types('bad', 0)).toThrow(ArgumentError)
    expect(() => parse_attn_mask_types(['full'], 2)).toThrow(ShapeError)
    expect(() => parse_attn_mask_types(null as unknown as string, 2)).toThrow(ArgumentError)
    expect(() => parse_attn_mask_types({} as unknown as string, 2)).toThrow(ArgumentError)
  })
})
