import { InternalError, NativeLibraryIncompatibleError } from '@magi-attention/common'
import fc from 'fast-check'
import koffi from 'koffi'
import { describe, expect, it } from 'vitest'
import type { MemberType } from './member.js'
import { defineStruct } from './struct.js'

const koffiTypes = {
  i32: 'int32_t',
  u32: 'uint32_t',
  i64: 'int64_t',
  u64: 'uint64_t',
  f32: 'float',
  f64: 'double',
  ptr: 'void *',
} as const

const sample = defineStruct(
  [
    ['struct_size', 'i64'],
    ['flag', 'i32'],
    ['q', 'ptr'],
    ['scale', 'f32'],
    ['count', 'u32'],
    ['seed', 'u64'],
    ['limit', 'f64'],
    ['last', 'i32'],
  ],
  { allowNonFinite: ['limit'] },
)
const values = {
  flag: -2,
  q: 2n ** 64n - 1n,
  scale: 0.5,
  count: 7,
  seed: 2n ** 63n,
  limit: -Infinity,
  last: 9,
}

describe('defineStruct', () => {
  it('lays members out as a C compiler does', () => {
    expect(sample.offsets).toEqual({
      struct_size: 0,
      flag: 8,
      q: 16,
      scale: 24,
      count: 28,
      seed: 32,
      limit: 40,
      last: 48,
    })
    expect(sample.sizeof).toBe(56)
    expect(defineStruct([['a', 'i32']]).sizeof).toBe(4)
    expect(
      defineStruct([
        ['a', 'i32'],
        ['b', 'f32'],
        ['c', 'i32'],
      ]).sizeof,
    ).toBe(12)
  })

  it('agrees with koffi on any list of members', () => {
    const types = Object.keys(koffiTypes) as MemberType[]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...types), { minLength: 1, maxLength: 12 }), list => {
        const members = list.map((type, i) => [`m${i}`, type] as const)
        const own = defineStruct(members)
        const theirs = koffi.struct(
          Object.fromEntries(members.map(([name, type]) => [name, koffiTypes[type]])),
        )
        expect(own.sizeof).toBe(koffi.sizeof(theirs))
        for (const [name] of members) expect(own.offsets[name]).toBe(koffi.offsetof(theirs, name))
      }),
    )
  })

  it('writes little-endian bytes, its own size, and zeros as padding', () => {
    const bytes = sample.pack(values)
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    expect(view.getBigInt64(0, true)).toBe(56n)
    expect(view.getInt32(8, true)).toBe(-2)
    expect(view.getInt32(12, true)).toBe(0)
    expect(view.getBigUint64(16, true)).toBe(2n ** 64n - 1n)
    expect(view.getFloat32(24, true)).toBe(0.5)
    expect(view.getUint32(28, true)).toBe(7)
    expect(view.getBigUint64(32, true)).toBe(2n ** 63n)
    expect(view.getFloat64(40, true)).toBe(-Infinity)
    expect(view.getInt32(48, true)).toBe(9)
    expect(view.getInt32(52, true)).toBe(0)
  })

  it('reuses its memory unless given a target, and reads back what it wrote', () => {
    expect(sample.pack(values)).toBe(sample.pack(values))
    const target = new Uint8Array(64).fill(255)
    sample.pack({ ...values, seed: 12 }, target)
    expect(target[56]).toBe(255)
    expect(sample.unpack(target)).toEqual({ ...values, struct_size: 56, seed: 12 })
    expect(() => sample.pack(values, new Uint8Array(8))).toThrow(InternalError)
  })

  it('refuses missing, unknown and ill-typed members', () => {
    const bad: Record<string, unknown>[] = [
      { ...values, flag: undefined },
      { ...values, other: 1 },
      { ...values, struct_size: 56 },
      { ...values, flag: 1.5 },
      { ...values, flag: 2 ** 31 },
      { ...values, flag: 1n },
      { ...values, flag: '1' },
      { ...values, flag: Number.NaN },
      { ...values, count: -1 },
      { ...values, q: 0 },
      { ...values, q: -1n },
      { ...values, q: 2n ** 64n },
      { ...values, q: null },
      { ...values, q: new Uint8Array(8) },
      { ...values, seed: 2 ** 53 },
      { ...values, scale: Number.NaN },
      { ...values, scale: Infinity },
      { ...values, scale: '1' },
      { ...values, limit: null },
    ]
    for (const item of bad) expect(() => sample.pack(item as typeof values)).toThrow(InternalError)
    const { last: _, ...short } = values
    expect(() => sample.pack(short as typeof values)).toThrow(InternalError)
    expect(() =>
      defineStruct([
        ['a', 'i32'],
        ['a', 'i32'],
      ]),
    ).toThrow(InternalError)
    expect(() => defineStruct([['a', 'i16' as 'i32']])).toThrow(InternalError)
  })

  it('compares its size with the library', () => {
    expect(() => sample.assertSize('Sample', 56, '/lib/x.so')).not.toThrow()
    expect(() => sample.assertSize('Sample', 64, '/lib/x.so')).toThrow(NativeLibraryIncompatibleError)
  })
})
