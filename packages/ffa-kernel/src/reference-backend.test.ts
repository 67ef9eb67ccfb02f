import { AutogradError } from '@magi-attention/common'
import { from_typed_array, memory, no_grad, type Tensor, tidy } from '@magi-attention/tensor'
import { describe, expect, it } from 'vitest'
import { flex_flash_attn_backward, flex_flash_attn_forward, flex_flash_attn_func } from './index.js'

const [totalQ, totalK, headsQ, headsKv, dim] = [5, 7, 4, 2, 8] as const

function values(count: number, seed: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => Math.sin(1.7 * i + seed) * 0.8)
}

function leaf(shape: number[], seed: number): Tensor {
  const count = shape.reduce((product, size) => product * size, 1)
  const tensor = from_typed_array(values(count, seed), shape)
  tensor.requires_grad = true
  return tensor
}

const inputs = () => ({
  q: leaf([totalQ, headsQ, dim], 1),
  k: leaf([totalK, headsKv, dim], 2),
  v: leaf([totalK, headsKv, dim], 3),
  sink: leaf([2, headsQ], 4),
})
const mask = {
  q_ranges: [
    [0, 3],
    [2, 5],
  ],
  k_ranges: [
    [0, 4],
    [1, 7],
  ],
  attn_type_map: ['causal', 'bi_causal'] as const,
  softcap: 2,
}
const gradOut = () => from_typed_array(values(totalQ * headsQ * dim, 9), [totalQ, headsQ, dim])

const numbers = (tensor: Tensor | null) => tensor!.to_typed_array() as Float64Array

describe('flex_flash_attn_func in float64', () => {
  it('has the gradients that central differences show', () => {
    const tensors = inputs()
    const [out, meta] = flex_flash_attn_func({ ...tensors, ...mask })
    expect(out.requires_grad).toBe(true)
    expect(meta.lse.requires_grad).toBe(false)
    const weights = gradOut()
    out.backward(weights)

    const loss = () =>
      no_grad(() => {
        const [result] = flex_flash_attn_func({ ...tensors, ...mask })
        return numbers(result).reduce((sum, value, i) => sum + value * numbers(weights)[i]!, 0)
      })
    const step = 1e-5
    for (const input of Object.values(tensors)) {
      const data = input.typed_array() as Float64Array
      const grad = numbers(input.grad)
      for (let i = 0; i < data.length; i += 3) {
        const value = data[i]!
        data[i] = value + step
        const above = loss()
        data[i] = value - step
        const below = loss()
        data[i] = value
        expect(Math.abs((above - below) / (2 * step) - grad[i]!)).toBeLessThan(1e-8)
      }
    }
  })

  it('has no gradient for the sink or inputs that do not ask for one', () => {
    const { q, k, v } = inputs()
    k.requires_grad = false
    const [out] = flex_flash_attn_func({ q, k, v, ...mask })
    out.backward(gradOut())
    expect(q.grad).not.toBeNull()
    expect(k.grad).toBeNull()
    expect(v.grad).not.toBeNull()
  })

  it('refuses a second backward', () => {
    const [out] = flex_flash_attn_func({ ...inputs(), ...mask })
    out.backward(gradOut())
    expect(() => out.backward(gradOut())).toThrow(AutogradError)
  })

  it('leaves nothing behind', () => {
    const tensors = inputs()
    const grad = gradOut()
    const step = () =>
      tidy(() => {
        const [out] = flex_flash_attn_func({ ...tensors, ...mask, return_max_logits: true })
        out.backward(grad)
        for (const input of Object.values(tensors)) input.grad = null
      })
    step()
    const before = memory()
    for (let i = 0; i < 20; i++) step()
    expect(memory().tensors).toBe(before.tensors)
    expect(memory().bytes).toBe(before.bytes)
  })
})

describe('the primitives in float64', () => {
  it('merge two halves of the keys into the attention over all', () => {
    const { q, k, v, sink } = inputs()
    const all = { q_ranges: [[0, totalQ]], k_ranges: [[0, totalK]] }
    const [expected, { lse: expectedLse }] = flex_flash_attn_forward({ q, k, v, sink, ...all })

    const [out, { lse }] = flex_flash_attn_forward({
      ...{ q, k, v, sink, q_ranges: [[0, totalQ]], k_ranges: [[0, 3]] },
    })
    const second = { q, k, v, q_ranges: [[0, totalQ]], k_ranges: [[3, totalK]] }
    const [merged, meta] = flex_flash_attn_forward({ ...second, out, lse, return_max_logits: true })
    expect(merged).toBe(out)
    expect(meta.lse).toBe(lse)
    expect(meta.max_logits!.shape).toEqual([headsQ])
    numbers(expected).forEach((value, i) => {
      expect(numbers(out)[i]).toBeCloseTo(value, 13)
    })
    numbers(expectedLse).forEach((value, i) => {
      expect(numbers(lse)[i]).toBeCloseTo(value, 13)
    })
  })

  it('ignore what stands in out beside an lse of -Infinity', () => {
    const { q, k, v } = inputs()
    const all = { q, k, v, q_ranges: [[0, totalQ]], k_ranges: [[0, totalK]] }
    const [expected] = flex_flash_attn_forward(all)
    const out = from_typed_array(new Float64Array(totalQ * headsQ * dim).fill(Number.NaN), [
      totalQ,
      headsQ,
      dim,
    ])
    const lse = from_typed_array(new Float64Array(totalQ * headsQ).fill(-Infinity), [totalQ, headsQ])
    flex_flash_attn_forward({ ...all, out, lse })
    expect(out.equal(expected)).toBe(true)
  })

  it('give the gradients of the tape', () => {
    const tensors = inputs()
    const [out, { lse }] = flex_flash_attn_func({ ...tensors, ...mask })
    const { q, k, v, sink } = tensors
    const grads = flex_flash_attn_backward({ q, k, v, sink, ...mask, out, lse, grad_out: gradOut() })
    out.backward(gradOut())
    expect(grads.grad_q.equal(q.grad!)).toBe(true)
    expect(grads.grad_k.equal(k.grad!)).toBe(true)
    expect(grads.grad_v.equal(v.grad!)).toBe(true)
    expect(grads.grad_sink!.equal(sink.grad!)).toBe(true)
  })
})
