import {
  ArgumentError,
  AttnRanges,
  DisposedError,
  DTypeError,
  InvalidRangeError,
  ShapeError,
  sliceToBand,
} from '@magi-attention/common'
import { from_typed_array } from '@magi-attention/tensor'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MaskOptions } from '../options/options.js'
import { readMask } from './read-mask.js'
import { sliceBands } from './slice-bands.js'

const int32 = (shape: number[], ...values: number[]) => from_typed_array(Int32Array.from(values), shape)
const int64 = (shape: number[], ...values: number[]) =>
  from_typed_array(BigInt64Array.from(values.map(BigInt)), shape)
const float32 = (shape: number[], ...values: number[]) => from_typed_array(Float32Array.from(values), shape)

const INF = Number.POSITIVE_INFINITY

function isAttended(bands: ReturnType<typeof sliceBands>, i: number, j: number): boolean {
  return bands.some(b => b.q0 <= i && i < b.q1 && b.k0 <= j && j < b.k1 && b.lo <= j - i && j - i <= b.hi)
}

describe('sliceBands', () => {
  const range = fc.tuple(fc.nat(9), fc.nat(9)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)

  it('does what sliceToBand does, and drops empty slices', () => {
    fc.assert(
      fc.property(range, range, fc.nat(3), (q, k, type) => {
        const bands = sliceBands(q, k, [type])
        if (q[0] === q[1] || k[0] === k[1]) expect(bands).toEqual([])
        else expect(bands).toEqual([sliceToBand(q, k, type)])
      }),
    )
  })

  it('attends the cells that the definition of the mask types names', () => {
    fc.assert(
      fc.property(range, range, fc.nat(3), ([qs, qe], [ks, ke], type) => {
        const bands = sliceBands([qs, qe], [ks, ke], [type])
        for (let i = 0; i < 10; i++) {
          for (let j = 0; j < 10; j++) {
            const isInside = qs <= i && i < qe && ks <= j && j < ke
            const isCausal = j - i <= ke - qe
            const isInvCausal = j - i >= ks - qs
            const expected = isInside && [true, isCausal, isInvCausal, isCausal && isInvCausal][type]!
            expect(isAttended(bands, i, j)).toBe(expected)
          }
        }
      }),
    )
  })

  it('gives 3 x 5 and 5 x 3 slices the row lengths of their corners', () => {
    const rowLengths = (sq: number, sk: number, type: number) => {
      const bands = sliceBands([0, sq], [0, sk], [type])
      return Array.from(
        { length: sq },
        (_, i) => Array.from({ length: sk }, (_, j) => isAttended(bands, i, j)).filter(Boolean).length,
      )
    }
    expect(rowLengths(3, 5, 1)).toEqual([3, 4, 5])
    expect(rowLengths(3, 5, 2)).toEqual([5, 4, 3])
    expect(rowLengths(3, 5, 3)).toEqual([3, 3, 3])
    expect(rowLengths(5, 3, 1)).toEqual([0, 0, 1, 2, 3])
    expect(rowLengths(5, 3, 2)).toEqual([3, 2, 1, 0, 0])
    expect(rowLengths(5, 3, 3)).toEqual([0, 0, 0, 0, 0])
  })
})

describe('readMask', () => {
  const q_ranges = [
    [0, 4],
    [4, 8],
  ]
  const k_ranges = [
    [0, 4],
    [0, 8],
  ]
  const expected = [
    { q0: 0, q1: 4, k0: 0, k1: 4, lo: -INF, hi: INF },
    { q0: 4, q1: 8, k0: 0, k1: 8, lo: -INF, hi: 0 },
  ]

  it.each<[string, MaskOptions]>([
    ['pairs and codes', { q_ranges, k_ranges, attn_type_map: [0, 1] }],
    ['pairs and names', { q_ranges, k_ranges, attn_type_map: ['full', 'causal'] }],
    [
      'AttnRanges',
      {
        q_ranges: AttnRanges.from_ranges([
          [0, 4],
          [4, 8],
        ]),
        k_ranges: [
          ...AttnRanges.from_ranges([
            [0, 4],
            [0, 8],
          ]),
        ],
        attn_type_map: Int32Array.of(0, 1),
      },
    ],
    [
      'int32 tensors',
      {
        q_ranges: int32([2, 2], 0, 4, 4, 8),
        k_ranges: int32([2, 2], 0, 4, 0, 8),
        attn_type_map: int32([2], 0, 1),
      },
    ],
    [
      'int64 tensors and a flat array',
      {
        q_ranges: int64([2, 2], 0, 4, 4, 8),
        k_ranges: Int32Array.of(0, 4, 0, 8),
        attn_type_map: int64([2], 0, 1),
      },
    ],
  ])('reads %s', (_, options) => {
    expect(readMask(options, 8, 8)).toEqual(expected)
  })

  it('takes one type for all slices, and full without any', () => {
    const causal = readMask({ q_ranges, k_ranges, attn_type_map: 'causal' }, 8, 8)
    expect(causal).toEqual(readMask({ q_ranges, k_ranges, attn_type_map: [1, 1] }, 8, 8))
    expect(readMask({ q_ranges, k_ranges, attn_type_map: 1 }, 8, 8)).toEqual(causal)
    const full = readMask({ q_ranges, k_ranges }, 8, 8)
    expect(full).toEqual(readMask({ q_ranges, k_ranges, attn_type_map: [0, 0] }, 8, 8))
    expect(readMask({ q_ranges, k_ranges, attn_type_map: null }, 8, 8)).toEqual(full)
  })

  it('takes no slices, in every form', () => {
    expect(readMask({ q_ranges: [], k_ranges: [] }, 8, 8)).toEqual([])
    expect(
      readMask({ q_ranges: new AttnRanges(), k_ranges: new Int32Array(0), attn_type_map: [] }, 8, 8),
    ).toEqual([])
    expect(readMask({ q_ranges: [[0, 0]], k_ranges: [[0, 0]], attn_type_map: 'causal' }, 0, 0)).toEqual([])
  })

  it('does not change what it is given', () => {
    const flat = Int32Array.of(0, 4, 4, 8)
    const map = Int32Array.of(1, 2)
    readMask({ q_ranges: flat, k_ranges: flat, attn_type_map: map }, 8, 8)
    expect([...flat, ...map]).toEqual([0, 4, 4, 8, 1, 2])
  })

  const disposed = int32([1, 2], 0, 4)
  disposed.dispose()
  const one = [[0, 4]]

  it.each<[string, unknown, unknown, unknown, new (...args: never[]) => Error, string]>([
    ['no q_ranges', undefined, one, undefined, ArgumentError, 'q_ranges'],
    ['no k_ranges', one, null, undefined, ArgumentError, 'k_ranges'],
    ['a string', '0,4', one, undefined, ArgumentError, 'q_ranges'],
    ['a number', 4, one, undefined, ArgumentError, 'q_ranges'],
    ['an object', { start: 0, end: 4 }, one, undefined, ArgumentError, 'q_ranges'],
    ['a reversed range', [[4, 0]], one, undefined, InvalidRangeError, 'q_ranges[0]'],
    ['a negative start', [[-1, 4]], one, undefined, InvalidRangeError, 'q_ranges[0]'],
    ['an end behind q', [[0, 9]], one, undefined, InvalidRangeError, 'q_ranges[0]'],
    ['an end behind k', one, [[0, 10]], undefined, InvalidRangeError, 'k_ranges[0]'],
    ['an empty range behind q', [[9, 9]], one, undefined, InvalidRangeError, 'q_ranges[0]'],
    ['a huge end', [[0, 2 ** 40]], one, undefined, InvalidRangeError, 'q_ranges[0]'],
    ['an infinite end', [[0, INF]], one, undefined, ArgumentError, 'q_ranges[0]'],
    [
      'NaN',
      [
        [0, 4],
        [0, Number.NaN],
      ],
      [...one, ...one],
      undefined,
      ArgumentError,
      'q_ranges[1]',
    ],
    ['a fraction', one, [[0, 1.5]], undefined, ArgumentError, 'k_ranges[0]'],
    ['strings in a pair', [['0', '4']], one, undefined, ArgumentError, 'q_ranges[0]'],
    ['a triple', [[0, 4, 8]], one, undefined, ArgumentError, 'q_ranges[0]'],
    ['flat numbers', [0, 4], one, undefined, ArgumentError, 'q_ranges[0]'],
    ['null in the list', [null], one, undefined, ArgumentError, 'q_ranges[0]'],
    ['an odd Int32Array', Int32Array.of(0, 4, 8), one, undefined, ShapeError, 'q_ranges'],
    ['unequal counts', one, [...one, ...one], undefined, ShapeError, 'k_ranges'],
    ['a float tensor', float32([1, 2], 0, 4), one, undefined, DTypeError, 'q_ranges'],
    ['a tensor of rank 1', int32([2], 0, 4), one, undefined, ShapeError, 'q_ranges'],
    ['a tensor of rows of 3', int32([1, 3], 0, 4, 5), one, undefined, ShapeError, 'q_ranges'],
    ['a huge int64', int64([1, 2], 0, 2 ** 60), one, undefined, InvalidRangeError, 'q_ranges[0]'],
    ['a disposed tensor', disposed, one, undefined, DisposedError, 'q_ranges'],
    ['type code 5', one, one, [5], ArgumentError, 'attn_type_map[0]'],
    ['type code -1', one, one, Int32Array.of(-1), ArgumentError, 'attn_type_map[0]'],
    ['type code 1.5', one, one, 1.5, ArgumentError, 'attn_type_map'],
    ['type code NaN', one, one, [Number.NaN], ArgumentError, 'attn_type_map[0]'],
    ['the name "diagonal"', one, one, 'diagonal', ArgumentError, 'attn_type_map'],
    ['a type that is null', one, one, [null], ArgumentError, 'attn_type_map[0]'],
    ['a boolean', one, one, true, ArgumentError, 'attn_type_map'],
    ['too many types', one, one, [0, 1], ShapeError, 'attn_type_map'],
    ['too few types', one, one, [], ShapeError, 'attn_type_map'],
    ['a tensor of types of rank 2', one, one, int32([1, 1], 1), ShapeError, 'attn_type_map'],
    ['float types', one, one, float32([1], 1), DTypeError, 'attn_type_map'],
    ['code 7 in a tensor', one, one, int32([1], 7), ArgumentError, 'attn_type_map[0]'],
  ])('refuses %s', (_, q_ranges, k_ranges, attn_type_map, type, argument) => {
    const read = () => readMask({ q_ranges, k_ranges, attn_type_map } as MaskOptions, 8, 9)
    expect(read).toThrow(type)
    expect(read).toThrow(expect.objectContaining({ argument }))
  })
})
