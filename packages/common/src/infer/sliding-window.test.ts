import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countCells, triples } from '../../test/count-cells.js'
import { AttnRange } from '../attn-range.js'
import { ArgumentError, InvalidRangeError } from '../errors/index.js'
import { infer_attn_mask_from_sliding_window } from './sliding-window.js'

type Pair = [number, number]

/** The slices as text: `[0,2)x[0,4) causal + ...`. */
function infer(q_range: Pair, k_range: Pair, window_size: Pair): string {
  const slices = triples(...infer_attn_mask_from_sliding_window({ q_range, k_range, window_size }))
  return slices.map(([q, k, type]) => `[${q})x[${k}) ${type}`).join(' + ')
}

describe('infer_attn_mask_from_sliding_window', () => {
  const ten: Pair = [0, 10]
  const cases: [q: Pair, k: Pair, window: Pair, expected: string][] = [
    [ten, ten, [-1, -1], '[0,10)x[0,10) full'],
    [ten, ten, [2, -1], '[0,2)x[0,10) full + [2,10)x[0,10) inv_causal'],
    [ten, ten, [-1, 0], '[0,10)x[0,10) causal'],
    [ten, ten, [-1, 2], '[0,8)x[0,10) causal + [8,10)x[0,10) full'],
    [ten, ten, [0, 0], '[0,10)x[0,10) bi_causal'],
    [ten, ten, [2, 0], '[0,2)x[0,2) causal + [2,10)x[0,10) bi_causal'],
    [ten, ten, [0, 2], '[0,8)x[0,10) bi_causal + [8,10)x[8,10) inv_causal'],
    [ten, ten, [2, 2], '[0,2)x[0,4) causal + [2,8)x[0,10) bi_causal + [8,10)x[6,10) inv_causal'],
    [ten, ten, [5, 5], '[0,5)x[0,10) causal + [5,10)x[0,10) inv_causal'],
    [ten, ten, [9, 0], '[0,10)x[0,10) causal'],
    [[0, 6], ten, [2, 1], '[0,5)x[2,10) bi_causal + [5,6)x[7,10) inv_causal'],
    [ten, [0, 6], [2, 1], '[4,6)x[0,3) causal + [6,9)x[0,6) bi_causal + [9,10)x[3,6) inv_causal'],
  ]
  it.each(cases)('slices q %j, k %j, window %j', (q, k, window, expected) => {
    expect(infer(q, k, window)).toBe(expected)
  })

  it('covers exactly the cells of the window, each once', () => {
    const size = fc.integer({ min: 0, max: 12 })
    const side = fc.integer({ min: -1, max: 14 })
    const start = fc.integer({ min: 0, max: 3 })
    fc.assert(
      fc.property(size, size, side, side, start, start, (sq, sk, left, right, q0, k0) => {
        const mask = infer_attn_mask_from_sliding_window({
          q_range: new AttnRange(q0, q0 + sq),
          k_range: [k0, k0 + sk],
          window_size: [left, right],
        })
        const expected = Array.from({ length: 16 }, (_, row) =>
          Array.from({ length: 16 }, (_, col) => {
            const [i, j] = [row - q0, col - k0]
            const centre = i + sk - sq
            const inside = i >= 0 && i < sq && j >= 0 && j < sk && centre >= 0
            const inWindow = (left === -1 || j >= centre - left) && (right === -1 || j <= centre + right)
            return inside && inWindow ? 1 : 0
          }),
        )
        expect(countCells(...mask, 16, 16)).toEqual(expected)
        expect(mask[2].length).toBeLessThanOrEqual(3)
        expect([...mask[0], ...mask[1]].every(range => range.seqlen > 0)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  it('does not change the ranges it is given', () => {
    const q_range = new AttnRange(0, 10)
    const k_range = new AttnRange(0, 6)
    infer_attn_mask_from_sliding_window({ q_range, k_range, window_size: [2, 1] })
    expect([q_range.to_naive_range(), k_range.to_naive_range()]).toEqual([
      [0, 10],
      [0, 6],
    ])
  })

  it.each([[[1]], [[1, 2, 3]], [[1.5, 0]], [[-2, 0]], [['1', 0]], [Number.NaN], [undefined]])(
    'refuses the window %j',
    window => {
      const call = () => infer(ten, ten, window as Pair)
      expect(call).toThrow(ArgumentError)
      expect(call).toThrow(/^window_size/)
    },
  )

  it.each([[[3, 1]], [[0.5, 2]], [[0]], [null], ['0,4']])('refuses the range %j and names it', range => {
    expect(() => infer(ten, range as Pair, [0, 0])).toThrow(InvalidRangeError)
    expect(() => infer(ten, range as Pair, [0, 0])).toThrow(/^k_range: /)
  })

  it('refuses positional arguments', () => {
    expect(() => infer_attn_mask_from_sliding_window([0, 4] as never)).toThrow(/^options: /)
  })
})
