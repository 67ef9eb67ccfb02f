import {
  ArgumentError,
  AutogradError,
  DeviceError,
  DTypeError,
  UnsupportedError,
} from '@magi-attention/common'
import { from_typed_array, randn, type Tensor, tensor, tidy } from '@magi-attention/tensor'
import * as fc from 'fast-check'
import { afterEach, expect, it } from 'vitest'
import { describeOnGpu } from '../../tensor/test/gpu.js'
import { type FlexFlashAttnOptions, flex_flash_attn_func } from '../src/index.js'
import { expectSameBits } from './helpers/expect-same-bits.js'
import { type AttentionCase, caseArbitrary } from './helpers/generate-case.js'
import { caseTensors, runKernel } from './helpers/run-case.js'

const device = 'cuda:0'
const dtype = 'bfloat16'

const onDevice = (values: ArrayLike<number>, shape: readonly number[]): Tensor =>
  from_typed_array(Int32Array.from(values), shape).to(device)

function deviceSlices({ slices }: AttentionCase) {
  const count = slices.length
  return {
    q_ranges: onDevice(
      slices.flatMap(slice => slice.q),
      [count, 2],
    ),
    k_ranges: onDevice(
      slices.flatMap(slice => slice.k),
      [count, 2],
    ),
    attn_type_map: onDevice(
      slices.map(slice => slice.type),
      [count],
    ),
  }
}

const inputs = () => {
  const leaf = { dtype, device, requires_grad: true } as const
  return { q: randn(256, 4, 64, leaf), k: randn(256, 2, 64, leaf), v: randn(256, 2, 64, leaf) }
}

describeOnGpu('slices on a GPU', () => {
  it('give the results of the same slices on the host', () => {
    const limits = { maxTokens: 700, maxSlices: 12, headDims: [64, 128], dtypes: [dtype] as const }
    fc.assert(
      fc.property(caseArbitrary(limits), c => {
        tidy(() => {
          const tensors = caseTensors(c, device)
          const expected = runKernel(c, tensors, { deterministic: true })
          // Both plans cover the same tiles; marks may differ where several slices fill a tile together.
          const actual = runKernel(c, tensors, { ...deviceSlices(c), deterministic: true })
          for (const name of ['out', 'lse', 'maxLogits', 'dq', 'dk', 'dv'] as const) {
            expect(distance(actual[name]!, expected[name]!), name).toBeLessThan(1e-2)
          }
          const again = runKernel(c, tensors, { ...deviceSlices(c), deterministic: true })
          expectSameBits(again, actual)
        })
      }),
      { numRuns: 60, seed: 3 },
    )
  })

  it('are planned anew when they were overwritten', () => {
    const { q, k, v } = inputs()
    const q_ranges = onDevice([0, 256], [1, 2])
    const k_ranges = onDevice([0, 256], [1, 2])
    const [wide] = flex_flash_attn_func({ q, k, v, q_ranges, k_ranges })
    k_ranges.copy_(onDevice([0, 100], [1, 2]))
    const [narrow] = flex_flash_attn_func({ q, k, v, q_ranges, k_ranges })
    const [expected] = flex_flash_attn_func({ q, k, v, q_ranges: [[0, 256]], k_ranges: [[0, 100]] })
    expect(narrow.equal(wide)).toBe(false)
    expect(distance(narrow.to_float32_array(), expected.to_float32_array())).toBeLessThan(1e-2)
  })

  it('may be disposed before backward, but not be overwritten', () => {
    const { q, k, v } = inputs()
    const slices = () => ({ q_ranges: onDevice([0, 256], [1, 2]), k_ranges: onDevice([0, 256], [1, 2]) })
    const first = slices()
    const [out] = flex_flash_attn_func({ q, k, v, ...first, attn_type_map: 'causal' })
    first.q_ranges.dispose()
    first.k_ranges.dispose()
    out.backward(randn(256, 4, 64, { dtype, device }))
    expect(q.grad!.to_float32_array().every(Number.isFinite)).toBe(true)

    const second = slices()
    const [other] = flex_flash_attn_func({ q, k, v, ...second })
    second.q_ranges.copy_(onDevice([0, 8], [1, 2]))
    expect(() => other.backward(randn(256, 4, 64, { dtype, device }))).toThrow(AutogradError)
  })

  it('are cut to the tensors, whatever they hold', () => {
    const { q, k, v } = inputs()
    const attend = (qs: number[], ks: number[], types: number[]) => {
      const count = types.length
      const slices = { q_ranges: onDevice(qs, [count, 2]), k_ranges: onDevice(ks, [count, 2]) }
      return flex_flash_attn_func({ q, k, v, ...slices, attn_type_map: onDevice(types, [count]) })[0]
    }
    const bad = attend([0, 9999, 50, 10, -5, 2 ** 31 - 1, 3, 9], [-7, 300, 0, 256, 9, 3, 0, 9], [0, 0, 1, 7])
    const good = attend([0, 256], [0, 256], [0])
    expect(distance(bad.to_float32_array(), good.to_float32_array())).toBeLessThan(1e-2)
  })
})

describeOnGpu('bad input on a GPU', () => {
  afterEach(() => {
    delete process.env.MAGI_ATTENTION_FFA_KERNEL
  })

  const failureOf = (changes: Partial<FlexFlashAttnOptions>) => {
    try {
      flex_flash_attn_func({ ...inputs(), q_ranges: [[0, 256]], k_ranges: [[0, 256]], ...changes })
    } catch (error) {
      return error as Error
    }
    return expect.unreachable('no error')
  }

  it('is refused with a typed error, and the next call works', () => {
    const float = {
      q: randn(8, 2, 64, { device }),
      k: randn(8, 2, 64, { device }),
      v: randn(8, 2, 64, { device }),
    }
    expect(failureOf({ ...float, q_ranges: [[0, 8]], k_ranges: [[0, 8]] })).toBeInstanceOf(UnsupportedError)

    const onHost = failureOf({ k: randn(256, 2, 64, { dtype }) })
    expect(onHost).toBeInstanceOf(DeviceError)
    expect(onHost.message).toMatch(/cuda:0.*cpu/s)
    expect(failureOf({ q_ranges: onDevice([0, 8], [1, 2]) })).toBeInstanceOf(ArgumentError)
    expect(failureOf({ k_ranges: onDevice([0, 8], [1, 2]) })).toBeInstanceOf(DeviceError)
    const host = tensor([[0, 8]], { dtype: 'int32' })
    expect(failureOf({ q_ranges: onDevice([0, 8], [1, 2]), k_ranges: host })).toBeInstanceOf(DeviceError)
    expect(failureOf({ q_ranges: randn(1, 2, { device }), k_ranges: [[0, 8]] })).toBeInstanceOf(DTypeError)

    const unaligned = randn(256 * 4 * 64 + 1, { dtype, device }).narrow(0, 1, 256 * 4 * 64)
    const error = failureOf({ q: unaligned.view(256, 4, 64) })
    expect(error).toBeInstanceOf(ArgumentError)
    expect(error.message).toContain('16 bytes')

    process.env.MAGI_ATTENTION_FFA_KERNEL = 'sm70'
    expect(failureOf({})).toBeInstanceOf(ArgumentError)
    delete process.env.MAGI_ATTENTION_FFA_KERNEL
    const [out] = flex_flash_attn_func({ ...inputs(), q_ranges: [[0, 256]], k_ranges: [[0, 256]] })
    expect(out.to_float32_array().every(Number.isFinite)).toBe(true)
  })
})

/** Norm of the difference over the norm of the expected values; infinite values have to be the same. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let error = 0
  let size = 0
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] === expected[i] && !Number.isFinite(expected[i])) continue
    error += (actual[i]! - expected[i]!) ** 2
    size += expected[i]! ** 2
  }
  // Where much cancels, what is left is noise of the size of what went in.
  return Math.sqrt(error / Math.max(size, 1e-2 * expected.length, 1))
}
