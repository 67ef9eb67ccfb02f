import { from_typed_array, randn, randn_like, type Tensor } from '@magi-attention/tensor'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { flex_flash_attn_backward, flex_flash_attn_forward, flex_flash_attn_func } from '../src/index.js'
import { measureError, ref_attn_func } from '../src/reference/index.js'

function expectNear(actual: Tensor | null, expected: Float64Array | null): void {
  const { maxAbs } = measureError(actual!.to_float32_array(), expected!)
  expect(maxAbs).toBeLessThan(1e-4)
}

/** Keys of `rows` queries for `heads` kv heads, at most `topk` each, some twice, padded with -1. */
function indices(keys: readonly (readonly number[])[], rows: number, heads: number, topk: number): Tensor {
  const values = new Int32Array(rows * heads * topk).fill(-1)
  keys.forEach((list, i) => {
    values.set(list.slice(0, topk), i * topk)
  })
  return from_typed_array(values, [rows, heads, topk])
}

const problem = fc
  .tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }))
  .chain(([totalQ, totalK]) =>
    fc.record({
      totalQ: fc.constant(totalQ),
      totalK: fc.constant(totalK),
      heads: fc.constantFrom([1, 1], [4, 2], [2, 2], [6, 3]),
      keys: fc.array(fc.array(fc.nat(totalK - 1), { maxLength: 12 }), { minLength: 120, maxLength: 120 }),
      sinkLayout: fc.constantFrom('sh' as const, 'ssh' as const),
      dtype: fc.constantFrom('float32' as const, 'float64' as const),
    }),
  )

describe('index_attn_indices', () => {
  it('attends the keys that it names, forward and backward', () => {
    fc.assert(
      fc.property(problem, ({ totalQ, totalK, heads, keys, sinkLayout, dtype }) => {
        const [headsQ, headsKv] = heads as [number, number]
        const q = randn(totalQ, headsQ, 16, { dtype, requires_grad: true })
        const k = randn(totalK, headsKv, 16, { dtype, requires_grad: true })
        const v = randn(totalK, headsKv, 16, { dtype, requires_grad: true })
        const sink = randn(sinkLayout === 'sh' ? [2, headsQ] : [totalQ, 2, headsQ], { requires_grad: true })
        const used = keys.slice(0, totalQ * headsKv)
        const index_attn_indices = indices(used, totalQ, headsKv, 12)
        const options = { q, k, v, sink, sink_layout: sinkLayout, softcap: 3, index_attn_indices }
        const [out, meta] = flex_flash_attn_func({ ...options, return_max_logits: true, index_attn: true })
        const grad_out = randn_like(out)
        out.backward(grad_out)

        // Each kv head by itself, its keys as slices of one cell.
        const group = headsQ / headsKv
        for (let head = 0; head < headsKv; head++) {
          const cells = Array.from({ length: totalQ }, (_, row) =>
            [...new Set(used[row * headsKv + head])].map(key => [row, key] as const),
          ).flat()
          const part = (tensor: Tensor | null, dim = 1) => tensor!.detach().narrow(dim, head * group, group)
          const kvPart = (tensor: Tensor | null) => tensor!.detach().narrow(1, head, 1)
          const expected = ref_attn_func({
            q: part(q),
            k: kvPart(k),
            v: kvPart(v),
            sink: part(sink, sink.ndim - 1),
            sink_layout: sinkLayout,
            softcap: 3,
            q_ranges: cells.map(([row]) => [row, row + 1]),
            k_ranges: cells.map(([, key]) => [key, key + 1]),
            grad_out: part(grad_out),
          })
          expectNear(part(out), expected.out)
          expectNear(part(meta.lse), expected.lse)
          expectNear(part(meta.max_logits, 0), expected.max_logits)
          expectNear(part(q.grad), expected.grads!.dq)
          expectNear(kvPart(k.grad), expected.grads!.dk)
          expectNear(kvPart(v.grad), expected.grads!.dv)
          expectNear(part(sink.grad, sink.ndim - 1), expected.grads!.dsink)
        }

        const { lse } = meta
        const grads = flex_flash_attn_backward({ ...options, out, lse, grad_out })
        expect(grads.grad_q.equal(q.grad!)).toBe(true)
        expect(grads.grad_sink!.equal(sink.grad!)).toBe(true)
        const reference = ref_attn_func({ ...options, grad_out })
        expectNear(out, reference.out)
        expectNear(k.grad, reference.grads!.dk)
      }),
      { numRuns: 60, seed: 8 },
    )
  })

  it('accumulates', () => {
    const [q, k, v] = [randn(3, 4, 16), randn(8, 2, 16), randn(8, 2, 16)]
    const halves = [
      [0, 5, 2],
      [1, 7, 3],
    ]
    const options = (...lists: number[][]) => {
      const keys = Array.from({ length: 6 }, () => lists.flat())
      return { q, k, v, index_attn_indices: indices(keys, 3, 2, lists.flat().length) }
    }
    const [expected] = flex_flash_attn_forward(options(...halves))
    const [out, { lse }] = flex_flash_attn_forward(options(halves[0]!))
    flex_flash_attn_forward({ ...options(halves[1]!), out, lse })
    expectNear(out, Float64Array.from(expected.to_float32_array()))
  })
})
