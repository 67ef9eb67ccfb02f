import {
  cat,
  float32,
  from_typed_array,
  manual_seed,
  memory,
  randn,
  randn_like,
  type Tensor,
  tidy,
  zeros,
} from '@magi-attention/tensor'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { describeOnGpu, isEmulated } from '../../../tensor/test/gpu.js'
import {
  clear_plan_cache,
  flex_flash_attn_backward,
  flex_flash_attn_forward,
  flex_flash_attn_func,
} from '../../src/index.js'
import { measureError, ref_attn_func } from '../../src/reference/index.js'
import { ErrorTally, expectCase } from './expect-case.js'
import { expectSameBits } from './expect-same-bits.js'
import { type AttentionCase, caseArbitrary } from './generate-case.js'
import { caseTensors, runKernel } from './run-case.js'
import { useKernel } from './use-kernel.js'

const device = 'cuda:0'
const INF = Number.POSITIVE_INFINITY
/** The emulator takes its time. */
const few = (count: number) => (isEmulated ? Math.ceil(count / 4) : count)
const dtypes = ['bfloat16', 'float16'] as const

const relativeError = (actual: Tensor | null, expected: Float64Array | Float32Array | null) =>
  measureError(actual!.to_float32_array(), expected!).relativeNorm

const plain: AttentionCase = {
  dtype: 'bfloat16',
  totalQ: 300,
  totalK: 300,
  numHeadsQ: 4,
  numHeadsKv: 2,
  headDim: 64,
  slices: [{ q: [0, 300], k: [0, 300], type: 1 }],
  softmaxScale: null,
  softcap: 0,
  sinkTokens: 0,
  sinkLayout: 'sh',
  seed: 1,
}

/** Tests the kernels of one architecture on the first GPU, with these head_dims. */
export function describeKernels(kernel: 'sm80' | 'sm90', headDims: readonly number[]): void {
  describeOnGpu(`the ${kernel} kernels`, () => {
    useKernel(kernel)

    it('agree with the reference on generated masks', () => {
      const tally = new ErrorTally()
      const limits = { maxTokens: 160, maxSlices: 6, headDims, dtypes }
      fc.assert(
        fc.property(caseArbitrary(limits), c => {
          expectCase(c, tally, device)
        }),
        { numRuns: few(200), seed: 11 },
      )
      for (const [name, ratio] of Object.entries(tally.ratios())) expect(ratio, name).toBeLessThan(2)
    })

    // Without max_logits a kernel may take less care of maxima.
    it('agree with the reference without max_logits', () => {
      const tally = new ErrorTally()
      const limits = { maxTokens: 400, maxSlices: 6, headDims, dtypes }
      fc.assert(
        fc.property(caseArbitrary(limits), c => {
          expectCase(c, tally, device, { return_max_logits: false })
        }),
        { numRuns: 60, seed: 12 },
      )
      for (const [name, ratio] of Object.entries(tally.ratios())) expect(ratio, name).toBeLessThan(2)
    })

    it.each(dtypes)('stay right where scores leap from tile to tile, in %s', dtype => {
      manual_seed(5)
      const options = { dtype, device } as const
      const rows = isEmulated ? 300 : 700
      const q = randn(rows, 8, 128, options)
      // The later keys win by far more than any number format holds between two exponentials.
      const scales = [1, 8, 60].map(scale => randn(500, 2, 128, options).mul(scale))
      const k = cat(scales)
      const v = randn(1500, 2, 128, options)
      const mask = { q_ranges: [[0, rows]], k_ranges: [[0, 1500]] }
      const expected = ref_attn_func({ q, k, v, ...mask })
      // One multiprocessor computes all, and has more to compute again than it keeps in mind at a time.
      const results = [0, 1000].map(sm_margin => flex_flash_attn_func({ q, k, v, ...mask, sm_margin }))
      for (const [out, { lse }] of results) {
        expect(relativeError(lse, expected.lse)).toBeLessThan(1e-5)
        expect(relativeError(out, expected.out)).toBeLessThan(2 ** -7)
        expect(out.to_float32_array()).toEqual(results[0]![0].to_float32_array())
      }
    })

    it('end where the tensors do, for lengths around the tile sizes', () => {
      for (const headDim of headDims) {
        for (const total of [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 191, 193, 255, 257]) {
          const slices = [{ q: [0, total] as const, k: [0, total] as const, type: total % 2 }]
          expectCase({ ...plain, headDim, totalQ: total, totalK: total, slices }, undefined, device)
        }
      }
    })

    it('compute the quickstart: 512 tokens, 8 heads over 2, 4 sinks, a full and a causal slice', () => {
      manual_seed(3)
      const leaf = { dtype: 'bfloat16', device, requires_grad: true } as const
      const q = randn(512, 8, 128, leaf)
      const k = randn(512, 2, 128, leaf)
      const v = randn(512, 2, 128, leaf)
      const sink = randn(4, 8, { dtype: float32, device, requires_grad: true })
      const grad_out = randn_like(q)
      const q_ranges = onDevice([0, 256, 256, 512], [2, 2])
      const k_ranges = onDevice([0, 256, 0, 512], [2, 2])
      const attn_type_map = onDevice([0, 1], [2])
      const options = { q, k, v, q_ranges, k_ranges, attn_type_map, sink, softmax_scale: null, softcap: 0 }

      const [out, meta] = flex_flash_attn_func({ ...options, return_max_logits: true })
      out.backward(grad_out)

      expect(out.device).toBe(device)
      const expected = ref_attn_func({ ...options, grad_out })
      expect(relativeError(meta.lse, expected.lse)).toBeLessThan(1e-5)
      expect(relativeError(meta.max_logits, expected.max_logits)).toBeLessThan(1e-5)
      // bfloat16 has 8 bits: 2^-9 is half a unit in the last place.
      expect(relativeError(out, expected.out)).toBeLessThan(2 ** -8)
      expect(relativeError(q.grad, expected.grads!.dq)).toBeLessThan(2 ** -7)
      expect(relativeError(k.grad, expected.grads!.dk)).toBeLessThan(2 ** -7)
      expect(relativeError(v.grad, expected.grads!.dv)).toBeLessThan(2 ** -7)
      expect(relativeError(sink.grad, expected.grads!.dsink)).toBeLessThan(2 ** -7)
    })

    it.each<[string, number, number, number[][], number[][]]>([
      ['queries', 0, 5, [[0, 0]], [[0, 5]]],
      ['keys', 5, 0, [[0, 5]], [[0, 0]]],
      ['tokens', 0, 0, [[0, 0]], [[0, 0]]],
      ['slices', 5, 6, [], []],
    ])('give empty rows and no gradients without %s', (_, totalQ, totalK, q_ranges, k_ranges) => {
      const leaf = { dtype: 'bfloat16', device, requires_grad: true } as const
      const [q, k, v] = [randn(totalQ, 4, 64, leaf), randn(totalK, 2, 64, leaf), randn(totalK, 2, 64, leaf)]
      const [out, meta] = flex_flash_attn_func({ q, k, v, q_ranges, k_ranges, return_max_logits: true })
      out.backward(randn_like(out))
      expect(out.to_float32_array()).toEqual(new Float32Array(totalQ * 256))
      expect([...meta.lse.to_float32_array()]).toEqual(new Array(totalQ * 4).fill(-INF))
      expect(meta.max_logits!.tolist()).toEqual(new Array(4).fill(-INF))
      for (const { grad } of [q, k, v])
        expect(grad!.to_float32_array().every(value => value === 0)).toBe(true)
    })

    it('give the same bits each time, in backward on request', () => {
      const total = isEmulated ? 500 : 2000
      const part = (share: number) => total * share
      const slices = [
        { q: [0, part(0.75)], k: [0, part(0.35)], type: 0 },
        { q: [part(0.1), total], k: [part(0.15), total], type: 1 },
      ] as const
      const repeats = isEmulated ? 3 : 50
      const c = { ...plain, headDim: 128, totalQ: total, totalK: total, slices, sinkTokens: 2 }
      tidy(() => {
        const tensors = caseTensors(c, device)
        const expected = runKernel(c, tensors, { deterministic: true })
        for (let i = 0; i < repeats; i++)
          expectSameBits(runKernel(c, tensors, { deterministic: true }), expected)
        const { out, lse, maxLogits } = runKernel(c, tensors, { sm_margin: 20 })
        expectSameBits({ ...expected, out, lse, maxLogits }, expected)
      })
    })

    it('merge partial attention, and sum partial gradients', () => {
      const [q, k, v] = [60, 80, 80].map((n, i) =>
        randn(n, i === 0 ? 4 : 2, 64, { dtype: 'bfloat16', device }),
      )
      const tensors = { q: q!, k: k!, v: v! }
      const whole = { q_ranges: [[0, 60]], k_ranges: [[0, 80]] }
      const parts = [
        { q_ranges: [[0, 60]], k_ranges: [[0, 33]] },
        // Rows from 50 on see nothing of the second part.
        { q_ranges: [[0, 50]], k_ranges: [[33, 80]] },
        { q_ranges: [[50, 60]], k_ranges: [[33, 80]] },
      ]
      const grad_out = randn(60, 4, 64, { dtype: 'bfloat16', device })
      const expected = ref_attn_func({ ...tensors, ...whole, grad_out })
      const out = zeros(60, 4, 64, { device }).add(Number.NaN)
      const lse = zeros(60, 4, { device }).add(-INF)
      for (const part of parts) flex_flash_attn_forward({ ...tensors, ...part, out, lse })
      expect(relativeError(out, expected.out)).toBeLessThan(2 ** -8)
      expect(relativeError(lse, expected.lse)).toBeLessThan(1e-5)

      const rounded = out.to('bfloat16')
      const grads = parts.map(part =>
        flex_flash_attn_backward({ ...tensors, ...part, out: rounded, lse, grad_out, grad_dtype: 'float32' }),
      )
      for (const [name, reference] of [
        ['grad_q', expected.grads!.dq],
        ['grad_k', expected.grads!.dk],
        ['grad_v', expected.grads!.dv],
      ] as const) {
        const sum = grads.map(grad => grad[name]).reduce((a, b) => a.add(b))
        expect(relativeError(sum, reference), name).toBeLessThan(2 ** -7)
      }
    })

    it('merge rows that see nothing: sinks alone, and what is there already', () => {
      const options = { dtype: 'bfloat16', device } as const
      const tensors = {
        q: randn(300, 4, 64, options),
        k: randn(80, 2, 64, options),
        v: randn(80, 2, 64, options),
      }
      const sink = randn(2, 4, { device })
      const none = { q_ranges: [], k_ranges: [], sink }
      const before = { out: randn(300, 4, 64, { device }), lse: randn(300, 4, { device }) }

      const merged = { out: before.out.clone(), lse: before.lse.clone() }
      flex_flash_attn_forward({ ...tensors, ...none, ...merged })
      const sinks = sink.tolist() as number[][]
      const lseBefore = before.lse.to_float32_array()
      const outBefore = before.out.to_float32_array()
      const out = merged.out.to_float32_array()
      merged.lse.to_float32_array().forEach((lse, row) => {
        const sum =
          Math.exp(lseBefore[row]!) + sinks.reduce((total, heads) => total + Math.exp(heads[row % 4]!), 0)
        expect(lse).toBeCloseTo(Math.log(sum), 4)
        expect(out[64 * row]).toBeCloseTo(outBefore[64 * row]! * Math.exp(lseBefore[row]! - lse), 4)
      })

      const fresh = {
        out: zeros(300, 4, 64, { device }).add(Number.NaN),
        lse: zeros(300, 4, { device }).add(-INF),
      }
      flex_flash_attn_forward({ ...tensors, ...none, ...fresh })
      expect(fresh.out.to_float32_array()).toEqual(new Float32Array(300 * 256))
    })

    it('leave memory() where it was after many steps', () => {
      const tensors = caseTensors(plain, device)
      const step = () =>
        tidy(() => {
          runKernel(plain, tensors)
          for (const input of [tensors.q, tensors.k, tensors.v]) input.grad = null
        })
      step()
      const before = memory()
      for (let i = 0; i < few(100); i++) step()
      expect(memory()).toEqual(before)
      clear_plan_cache()
    })
  })
}

function onDevice(values: readonly number[], shape: readonly number[]): Tensor {
  return from_typed_array(Int32Array.from(values), shape).to(device)
}
