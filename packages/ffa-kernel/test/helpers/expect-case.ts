import { type Device, tidy } from '@magi-attention/tensor'
import { expect } from 'vitest'
import type { FlexFlashAttnOptions } from '../../src/index.js'
import type { AttentionCase } from './generate-case.js'
import { epsilonOf } from './rounding.js'
import { type CaseResult, caseTensors, type Expectation, runKernel, runReference } from './run-case.js'

const names = ['out', 'dq', 'dk', 'dv', 'dsink'] as const

/** Squared errors of many cases, since one small case alone may be lucky. */
export class ErrorTally {
  readonly #kernel = new Map<string, number>()
  readonly #yardstick = new Map<string, number>()

  add(name: string, kernelError: number, yardstickError: number): void {
    this.#kernel.set(name, (this.#kernel.get(name) ?? 0) + kernelError ** 2)
    this.#yardstick.set(name, (this.#yardstick.get(name) ?? 0) + yardstickError ** 2)
  }

  /** Error of the kernel over that of the yardstick, for each dtype and result. */
  ratios(): Record<string, number> {
    return Object.fromEntries(
      [...this.#kernel].map(([name, squares]) => [name, Math.sqrt(squares / this.#yardstick.get(name)!)]),
    )
  }
}

/** Runs a case forward and backward and compares everything with the reference. Returns what the kernel gave. */
export function expectCase(
  c: AttentionCase,
  tally = new ErrorTally(),
  device: Device = 'cpu',
  changes: Partial<FlexFlashAttnOptions> = {},
): CaseResult {
  let result: CaseResult | undefined
  tidy(() => {
    const tensors = caseTensors(c, device)
    result = runKernel(c, tensors, changes)
    compare(c, result, runReference(c, tensors), tally)
  })
  return result!
}

/** Throws an error that names the result, for fast-check to shrink. */
function compare(c: AttentionCase, actual: CaseResult, expected: Expectation, tally: ErrorTally): void {
  expectLogits('lse', actual.lse, expected.lse)
  if (actual.maxLogits !== null) expectLogits('max_logits', actual.maxLogits, expected.maxLogits)
  for (const name of names) {
    const reference = expected[name]
    if (reference === null) continue
    const error = distance(actual[name]!, reference)
    // Sums of head_dim products in float32, which may cancel.
    const floor = 1e-5 * Math.max(1, c.headDim / 128) * Math.sqrt(reference.length)
    if (c.dtype === 'float32' || c.dtype === 'float64') {
      expectAtMost(name, error, 1e-5 * norm(reference) + floor)
      continue
    }
    const yardstick = distance(expected.yardstick[name]!, reference)
    // In a case of few cells either one's roundings may happen to cancel: the tally has the true ratio.
    expectAtMost(
      name,
      error,
      4 * yardstick + 2 * epsilonOf[c.dtype as 'float16'] * largest(reference) + floor,
    )
    tally.add(`${c.dtype} ${name}`, error, yardstick)
  }
}

function expectLogits(name: string, actual: Float64Array, expected: Float64Array): void {
  expect(actual.length).toBe(expected.length)
  expected.forEach((value, i) => {
    if (actual[i] === value) return
    expectAtMost(`${name}[${i}]`, Math.abs(actual[i]! - value), 2e-5 * Math.max(1, Math.abs(value)))
  })
}

function expectAtMost(name: string, error: number, bound: number): void {
  if (error <= bound) return
  expect.fail(`${name}: error ${error} is above its bound ${bound}`)
}

function distance(actual: Float64Array, expected: Float64Array): number {
  expect(actual.length).toBe(expected.length)
  let sum = 0
  for (let i = 0; i < expected.length; i++) sum += (actual[i]! - expected[i]!) ** 2
  return Math.sqrt(sum)
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}

function largest(values: Float64Array): number {
  return values.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
}
