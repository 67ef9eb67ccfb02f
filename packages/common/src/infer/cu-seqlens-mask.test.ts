import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countCells, triples } from '../../test/count-cells.js'
import { ArgumentError } from '../errors/index.js'
import { type InferAttnMaskFromCuSeqlensOptions, infer_attn_mask_from_cu_seqlens } from './cu-seqlens-mask.js'

function slices(options: InferAttnMaskFromCuSeqlensOptions) {
  const [q, k, types] = infer_attn_mask_from_cu_seqlens(options)
  return triples(q, k, types)
}

describe('infer_attn_mask_from_cu_seqlens', () => {
  it('gives one slice a sample when there is no window', () => {
    const lengths = { cu_seqlens_q: [0, 4, 6], cu_seqlens_k: Int32Array.of(0, 3, 8) }
    const causal = infer_attn_mask_from_cu_seqlens({ ...lengths, causal: true })
    expect(triples(causal[0], causal[1], causal[2])).toEqual([
      [[0, 4], [0, 3], 'causal'],
      [[4, 6], [3, 8], 'causal'],
    ])
    expect(causal.slice(3)).toEqual([6, 8])
    expect(slices({ ...lengths, global_window_size: 2 }).map(slice => slice[2])).toEqual(['full', 'full'])
  })

  it('gives the sliding window of each sample', () => {
    expect(slices({ cu_seqlens_q: [0, 3, 13], cu_seqlens_k: [0, 3, 13], window_size: [2, 2] })).toEqual([
      [[0, 3], [0, 3], 'full'],
      [[3, 5], [3, 7], 'causal'],
      [[5, 11], [3, 13], 'bi_causal'],
      [[11, 13], [9, 13], 'inv_causal'],
    ])
  })

  it('adds global keys, then the window, then the rows that reach into it', () => {
    const options = {
      cu_seqlens_q: [0, 8],
      cu_seqlens_k: [0, 8],
      window_size: [2, 1],
      global_window_size: 2,
    } as const
    expect(slices(options)).toEqual([
      [[0, 8], [0, 2], 'full'],
      [[2, 4], [2, 5], 'causal'],
      [[4, 7], [2, 8], 'bi_causal'],
      [[7, 8], [5, 8], 'inv_causal'],
      [[1, 2], [2, 3], 'causal'],
    ])
  })

  it('lets a row see only the global keys up to its right side', () => {
    const options = {
      cu_seqlens_q: [0, 5],
      cu_seqlens_k: [0, 5],
      window_size: [1, 0],
      global_window_size: 3,
    } as const
    expect(slices(options)).toEqual([
      [[0, 2], [0, 2], 'causal'],
      [[2, 5], [0, 3], 'full'],
      [[3, 5], [3, 5], 'causal'],
    ])
  })

  it('covers each cell of its rule once and nothing else, also for sq != sk', () => {
    const lengths = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 9 })), {
      maxLength: 3,
    })
    const side = fc.integer({ min: -1, max: 10 })
    fc.assert(
      fc.property(
        lengths,
        side,
        side,
        fc.integer({ min: 0, max: 11 }),
        (samples, left, right, globalSize) => {
          const cuQ = [0]
          const cuK = [0]
          for (const [sq, sk] of samples) {
            cuQ.push(cuQ.at(-1)! + sq)
            cuK.push(cuK.at(-1)! + sk)
          }
          const [q, k, types, totalQ, totalK] = infer_attn_mask_from_cu_seqlens({
            cu_seqlens_q: cuQ,
            cu_seqlens_k: Int32Array.from(cuK),
            window_size: [left, right],
            global_window_size: globalSize,
          })
          const expected = Array.from({ length: totalQ }, () => new Array<number>(totalK).fill(0))
          for (const [s, [sq, sk]] of samples.entries()) {
            for (let i = 0; i < sq; i++) {
              for (let j = 0; j < sk; j++) {
                const seen = left === -1 && right === -1 ? true : sees(i, j, sq, sk, left, right, globalSize)
                if (seen) expected[cuQ[s]! + i]![cuK[s]! + j] = 1
              }
            }
          }
          expect(countCells(q, k, types, totalQ, totalK)).toEqual(expected)
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('gives no slices for no samples', () => {
    const [q, k, types, totalQ, totalK] = infer_attn_mask_from_cu_seqlens({
      cu_seqlens_q: [0],
      cu_seqlens_k: [0],
    })
    expect([q.length, k.length, types, totalQ, totalK]).toEqual([0, 0, [], 0, 0])
  })

  const bad: [string, Partial<Record<keyof InferAttnMaskFromCuSeqlensOptions, unknown>>, RegExp][] = [
    ['an empty list', { cu_seqlens_q: [] }, /^cu_seqlens_q: /],
    ['a first length other than 0', { cu_seqlens_k: [1, 4] }, /^cu_seqlens_k: /],
    ['falling lengths', { cu_seqlens_q: [0, 4, 3] }, /^cu_seqlens_q\[2\]: /],
    ['a fraction', { cu_seqlens_q: [0, 2.5] }, /^cu_seqlens_q\[1\]: /],
    ['text', { cu_seqlens_q: '0,4' }, /^cu_seqlens_q: /],
    ['lists of different length', { cu_seqlens_k: [0, 2, 4] }, /^cu_seqlens_k: expected 2 items/],
    ['causal with a window', { causal: true, window_size: [2, 0] }, /^causal: /],
    ['causal that is no boolean', { causal: 1 }, /^causal: /],
    ['a negative global window', { window_size: [1, 1], global_window_size: -1 }, /^global_window_size: /],
    ['a window of one side', { window_size: [1] }, /^window_size: /],
  ]
  it.each(bad)('refuses %s', (_, options, message) => {
    const call = () =>
      infer_attn_mask_from_cu_seqlens({ cu_seqlens_q: [0, 4], cu_seqlens_k: [0, 4], ...options } as never)
    expect(call).toThrow(ArgumentError)
    expect(call).toThrow(message)
  })
})

/** The rule of the function's documentation, for row `i` and key `j` of one sample. */
function sees(i: number, j: number, sq: number, sk: number, left: number, right: number, globalSize: number) {
  const numGlobal = Math.min(globalSize, sk)
  const isWide = right === -1 || right >= sk - 1
  if (j < numGlobal) return isWide || j <= i + right
  const centre = i + sk - sq
  if (numGlobal === 0 && centre < 0) return false
  return (left === -1 || j >= centre - left) && (isWide || j <= centre + right)
}
