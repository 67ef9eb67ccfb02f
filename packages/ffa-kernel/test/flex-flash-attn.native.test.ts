import { AutogradError } from '@magi-attention/common'
import {
  bfloat16,
  type DType,
  float32,
  from_typed_array,
  manual_seed,
  memory,
  randn,
  randn_like,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from '@magi-attention/tensor'
import { describe, expect, it } from 'vitest'
import {
  clear_plan_cache,
  flex_flash_attn_backward,
  flex_flash_attn_forward,
  flex_flash_attn_func,
  plan_cache_info,
} from '../src/index.js'
import { measureError, ref_attn_func } from '../src/reference/index.js'

const INF = Number.POSITIVE_INFINITY

const relativeError = (actual: Tensor | null, expected: Float64Array | null) =>
  measureError(actual!.to_float32_array(), expected!).relativeNorm

describe('the quickstart', () => {
  it('2,048 tokens, 8 heads over 2, 4 sinks, a full and a causal slice in bfloat16', () => {
    manual_seed(3)
    const leaf = { dtype: bfloat16, requires_grad: true } as const
    const q = randn(2048, 8, 128, leaf)
    const k = randn(2048, 2, 128, leaf)
    const v = randn(2048, 2, 128, leaf)
    const sink = randn(4, 8, { dtype: float32, requires_grad: true })
    const grad_out = randn_like(q)
    const q_ranges = tensor(
      [
        [0, 1024],
        [1024, 2048],
      ],
      { dtype: 'int32' },
    )
    const k_ranges = tensor(
      [
        [0, 1024],
        [0, 2048],
      ],
      { dtype: 'int32' },
    )
    const attn_type_map = tensor([0, 1], { dtype: 'int32' })
    const options = { q, k, v, q_ranges, k_ranges, attn_type_map, sink, softmax_scale: null, softcap: 0 }

    const [out, meta] = flex_flash_attn_func({ ...options, return_max_logits: true })
    out.backward(grad_out)

    expect(out.shape).toEqual([2048, 8, 128])
    expect(out.dtype).toBe('bfloat16')
    expect(meta.lse.shape).toEqual([2048, 8])
    expect(meta.lse.dtype).toBe('float32')
    const expected = ref_attn_func({ ...options, grad_out })
    expect(relativeError(meta.lse, expected.lse)).toBeLessThan(1e-6)
    expect(relativeError(meta.max_logits, expected.max_logits)).toBeLessThan(1e-6)
    // bfloat16 has 8 bits: 2^-9 is half a unit in the last place.
    expect(relativeError(out, expected.out)).toBeLessThan(2 ** -8)
    expect(relativeError(q.grad, expected.grads!.dq)).toBeLessThan(2 ** -7)
    expect(relativeError(k.grad, expected.grads!.dk)).toBeLessThan(2 ** -7)
    expect(relativeError(v.grad, expected.grads!.dv)).toBeLessThan(2 ** -7)
    expect(relativeError(sink.grad, expected.grads!.dsink)).toBeLessThan(2 ** -7)
  })
})

/** A head_dim of 8 whose dimensions from 2 on are zero: the worked example, one head and scale 0.5. */
function padded(rows: readonly (readonly [number, number])[]): Tensor {
  const values = new Float32Array(rows.length * 8)
  rows.forEach((row, i) => {
    values.set(row, 8 * i)
  })
  const result = from_typed_array(values, [rows.length, 1, 8])
  result.requires_grad = true
  return result
}

function expectDigits(actual: Tensor | null, expected: readonly number[], stride = 1): void {
  const values = [...actual!.to_float32_array()].filter((_, i) => stride === 1 || i % 8 < 2)
  expect(values).toHaveLength(expected.length)
  expected.forEach((value, i) => {
    if (Number.isFinite(value)) expect(Math.abs(values[i]! - value)).toBeLessThan(2e-6)
    else expect(values[i]).toBe(value)
  })
}

describe('flex_flash_attn_func, worked by hand', () => {
  const inputs = () => ({
    q: padded([
      [1, 0],
      [0, 1],
      [1, 1],
    ]),
    k: padded([
      [1, 1],
      [0, 2],
    ]),
    v: padded([
      [1, 0],
      [0, 1],
    ]),
    q_ranges: [[0, 3]],
    k_ranges: [[0, 2]],
    softmax_scale: 0.5,
    return_max_logits: true,
  })
  const gradOut = () =>
    padded([
      [1, 2],
      [1, 2],
      [1, 2],
    ]).detach()

  it('causal with an empty first row', () => {
    const options = inputs()
    const [out, meta] = flex_flash_attn_func({ ...options, attn_type_map: 'causal' })
    out.backward(gradOut())
    expectDigits(out, [0, 0, 1, 0, 0.5, 0.5], 8)
    expectDigits(meta.lse, [-INF, 0.5, 1.693147])
    expectDigits(meta.max_logits, [1])
    expectDigits(options.q.grad, [0, 0, 0, 0, -0.125, 0.125], 8)
    expectDigits(options.k.grad, [-0.125, -0.125, 0.125, 0.125], 8)
    expectDigits(options.v.grad, [1.5, 3, 0.5, 1], 8)
  })

  it('the same with a sink', () => {
    const options = { ...inputs(), sink: tensor([[0.5]], { dtype: float32, requires_grad: true }) }
    const [out, meta] = flex_flash_attn_func({ ...options, attn_type_map: [1] })
    out.backward(gradOut())
    expectDigits(out, [0, 0, 0.5, 0, 0.383652, 0.383652], 8)
    expectDigits(meta.lse, [0.5, 1.193147, 1.95802])
    expectDigits(options.q.grad, [0, 0, 0.125, 0.125, -0.028957, 0.29678], 8)
    expectDigits(options.k.grad, [-0.028957, 0.096043, 0.162869, 0.162869], 8)
    expectDigits(options.v.grad, [0.883652, 1.767303, 0.383652, 0.767303], 8)
    expectDigits(options.sink.grad, [-0.517823])
  })

  it('full with softcap 1', () => {
    const options = inputs()
    const [out, meta] = flex_flash_attn_func({ ...options, softcap: 1 })
    out.backward(gradOut())
    expectDigits(out, [0.613516, 0.386484, 0.425685, 0.574315, 0.5, 0.5], 8)
    expectDigits(meta.lse, [0.950666, 1.316172, 1.454741])
    expectDigits(meta.max_logits, [Math.tanh(1)])
    expectDigits(options.q.grad, [-0.093239, 0.143875, -0.096134, 0.00654, -0.052497, 0.052497], 8)
    expectDigits(options.k.grad, [-0.145736, -0.148631, 0.171054, 0.103834], 8)
    expectDigits(options.v.grad, [1.539202, 3.078403, 1.460798, 2.921597], 8)
  })
})

describe('flex_flash_attn_func without', () => {
  const shapes = (totalQ: number, totalK: number, dtype: DType) => ({
    q: randn(totalQ, 4, 16, { dtype, requires_grad: true }),
    k: randn(totalK, 2, 16, { dtype, requires_grad: true }),
    v: randn(totalK, 2, 16, { dtype, requires_grad: true }),
    sink: randn(3, 4, { requires_grad: true }),
  })

  it.each<[string, number, number, number[][], number[][]]>([
    ['queries', 0, 5, [[0, 0]], [[0, 5]]],
    ['keys', 5, 0, [[0, 5]], [[0, 0]]],
    ['tokens', 0, 0, [[0, 0]], [[0, 0]]],
    ['slices', 5, 6, [], []],
    [
      'a cell in its slices',
      5,
      6,
      [
        [2, 2],
        [0, 5],
      ],
      [
        [0, 6],
        [3, 3],
      ],
    ],
  ])('%s: empty rows and no gradients', (_, totalQ, totalK, q_ranges, k_ranges) => {
    for (const dtype of ['float32', 'bfloat16', 'float16', 'float64'] as const) {
      for (const withSink of [false, true]) {
        const { q, k, v, sink } = shapes(totalQ, totalK, dtype)
        const options = { q, k, v, sink: withSink ? sink : null, q_ranges, k_ranges, return_max_logits: true }
        const [out, meta] = flex_flash_attn_func(options)
        out.backward(zeros(totalQ, 4, 16, { dtype }).add(1))
        expect(out.to_float32_array()).toEqual(new Float32Array(totalQ * 64))
        const sinkRows = sink.to_float32_array()
        meta.lse.to_float32_array().forEach((value, i) => {
          const terms = [0, 1, 2].map(t => Math.exp(sinkRows[t * 4 + (i % 4)]!))
          if (withSink) expect(value).toBeCloseTo(Math.log(terms.reduce((a, b) => a + b)), 5)
          else expect(value).toBe(-INF)
        })
        expect(meta.max_logits!.tolist()).toEqual(new Array(4).fill(-INF))
        expect(q.grad!.to_float32_array().every(value => value === 0)).toBe(true)
        expect(k.grad!.to_float32_array().every(value => value === 0)).toBe(true)
        expect(v.grad!.to_float32_array().every(value => value === 0)).toBe(true)
        if (withSink) expect(sink.grad!.to_float32_array().every(value => value === 0)).toBe(true)
      }
    }
  })

  it('gradients recorded: no graph', () => {
    const { q, k, v } = shapes(5, 5, 'float32')
    for (const input of [q, k, v]) input.requires_grad = false
    const [out] = flex_flash_attn_func({ q, k, v, q_ranges: [[0, 5]], k_ranges: [[0, 5]] })
    expect(out.requires_grad).toBe(false)
  })
})

describe('flex_flash_attn_func', () => {
  const dtype = 'float32'
  const inputs = () => ({
    q: randn(70, 4, 32, { dtype, requires_grad: true }),
    k: randn(90, 2, 32, { dtype, requires_grad: true }),
    v: randn(90, 2, 32, { dtype, requires_grad: true }),
    q_ranges: [
      [0, 40],
      [30, 70],
    ],
    k_ranges: [
      [0, 90],
      [10, 60],
    ],
    attn_type_map: ['causal', 'inv_causal'] as const,
  })

  it('refuses a second backward, and stays usable', () => {
    const options = inputs()
    const [out] = flex_flash_attn_func(options)
    const grad = randn_like(out)
    out.backward(grad)
    expect(() => out.backward(grad)).toThrow(AutogradError)
    flex_flash_attn_func(options)[0].backward(grad)
  })

  it('computes the same whatever the performance flags say', () => {
    const options = inputs()
    const [expected, meta] = flex_flash_attn_func(options)
    const flags = { deterministic: true, sm_margin: 4, swap_ab: true, pack_gqa: true, auto_range_merge: true }
    const [out, flaggedMeta] = flex_flash_attn_func({ ...options, ...flags })
    expect(out.equal(expected)).toBe(true)
    expect(flaggedMeta.lse.equal(meta.lse)).toBe(true)
  })

  it('takes views, and reads them from where they begin', () => {
    const { q, k, v, ...mask } = inputs()
    const wide = randn(100, 4, 32)
    const view = wide.narrow(0, 30, 70)
    const [expected] = flex_flash_attn_func({ q: view.clone(), k, v, ...mask })
    expect(flex_flash_attn_func({ q: view, k, v, ...mask })[0].equal(expected)).toBe(true)
    expect(q.numel()).toBe(view.numel())
  })

  it('plans a mask once for all calls of a shape', () => {
    clear_plan_cache()
    const options = inputs()
    for (let i = 0; i < 5; i++) flex_flash_attn_func(options)[0].backward(randn(70, 4, 32))
    expect(plan_cache_info()).toMatchObject({ entries: 2, misses: 2, hits: 8 })
  })

  it('leaves memory() where it was after 500 steps', () => {
    const options = inputs()
    const grad = randn(70, 4, 32)
    const step = () =>
      tidy(() => {
        flex_flash_attn_func({ ...options, return_max_logits: true })[0].backward(grad)
        for (const input of [options.q, options.k, options.v]) input.grad = null
      })
    step()
    const before = memory()
    for (let i = 0; i < 500; i++) step()
    expect(memory()).toEqual(before)
  })
})

describe('the primitives', () => {
  const inputs = (dtype: DType) => ({
    q: randn(60, 4, 32, { dtype }),
    k: randn(80, 2, 32, { dtype }),
    v: randn(80, 2, 32, { dtype }),
    sink: randn(2, 4),
  })
  const whole = { q_ranges: [[0, 60]], k_ranges: [[0, 80]] }
  const parts = [
    { q_ranges: [[0, 60]], k_ranges: [[0, 33]] },
    // Rows from 50 on see nothing of the second part.
    { q_ranges: [[0, 50]], k_ranges: [[33, 80]] },
    { q_ranges: [[50, 60]], k_ranges: [[33, 80]] },
  ]

  it.each(['float32', 'bfloat16', 'float16'] as const)('merge partial attention in %s', dtype => {
    const tensors = inputs(dtype)
    const expected = ref_attn_func({ ...tensors, ...whole })
    const { q, k, v, sink } = tensors
    const [out, { lse }] = flex_flash_attn_forward({ q, k, v, sink, ...parts[0]!, out_dtype: 'float32' })
    expect(out.dtype).toBe('float32')
    for (const part of parts.slice(1)) {
      const [merged, meta] = flex_flash_attn_forward({ q, k, v, ...part, out, lse })
      expect(merged).toBe(out)
      expect(meta.lse).toBe(lse)
    }
    expect(relativeError(out, expected.out)).toBeLessThan(dtype === 'bfloat16' ? 2 ** -8 : 2 ** -11)
    expect(relativeError(lse, expected.lse)).toBeLessThan(1e-6)
  })

  it('start from out 0 and lse -Infinity, and do not read out there', () => {
    const tensors = inputs('float32')
    const [expected, meta] = flex_flash_attn_forward({ ...tensors, ...whole })
    const out = zeros(60, 4, 32).add(Number.NaN)
    const lse = zeros(60, 4).add(-INF)
    flex_flash_attn_forward({ ...tensors, ...whole, out, lse })
    expect(measureError(out.to_float32_array(), expected.to_float32_array()).relativeNorm).toBeLessThan(1e-6)
    expect(measureError(lse.to_float32_array(), meta.lse.to_float32_array()).relativeNorm).toBeLessThan(1e-6)
  })

  it('sum partial gradients to those of the tape', () => {
    const tensors = inputs('float32')
    for (const input of Object.values(tensors)) input.requires_grad = true
    const [out, { lse }] = flex_flash_attn_func({ ...tensors, ...whole })
    const grad_out = randn_like(out)
    out.backward(grad_out)
    const { q, k, v, sink } = tensors
    const grads = parts.map((part, i) =>
      flex_flash_attn_backward({ q, k, v, sink: i === 0 ? sink : null, ...part, out, lse, grad_out }),
    )
    for (const [name, input] of [
      ['grad_q', q],
      ['grad_k', k],
      ['grad_v', v],
    ] as const) {
      const sum = grads.map(grad => grad[name]).reduce((a, b) => a.add(b))
      const error = measureError(sum.to_float32_array(), input.grad!.to_float32_array())
      expect(error.relativeNorm, name).toBeLessThan(1e-5)
    }
    expect(grads[0]!.grad_sink!.equal(sink.grad!)).toBe(true)
    expect(grads[1]!.grad_sink).toBeNull()
  })

  it('give float32 gradients of bfloat16 tensors on request', () => {
    const tensors = inputs('bfloat16')
    const [out, { lse }] = flex_flash_attn_forward({ ...tensors, ...whole })
    const options = { ...tensors, ...whole, out, lse, grad_out: randn_like(out) }
    const narrow = flex_flash_attn_backward(options)
    const wide = flex_flash_attn_backward({ ...options, grad_dtype: 'float32' })
    for (const name of ['grad_q', 'grad_k', 'grad_v'] as const) {
      expect(narrow[name].dtype).toBe('bfloat16')
      expect(wide[name].dtype).toBe('float32')
      expect(wide[name].to('bfloat16').equal(narrow[name]), name).toBe(true)
    }
  })
})
