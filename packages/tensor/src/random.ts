import { ArgumentError, DTypeError } from '@magi-attention/common'
import { backendOf } from './backend.js'
import { assertTensor } from './check.js'
import { isFloatDType } from './dtype.js'
import { createTensor, type TensorOptions } from './factory.js'
import { type SizeArguments, splitSizeArguments } from './shape.js'
import type { Tensor } from './tensor.js'

/** torch's default seed. */
const defaultSeed = 67280421310721n

let seed = defaultSeed
let offset = 0n

/**
 * Seeds the generator of `randn`, `rand` and the initialisation of layers. Without a call the seed is 67280421310721,
 * as in torch, so that every run of a program draws the same numbers.
 *
 * The generator is counter-based (Philox4x32-10): the i-th number drawn since the seeding depends on the seed and i
 * alone, whatever the number of threads and however the draws are split into calls.
 *
 * @param new_seed an integer of at least 0, below 2^64
 */
export function manual_seed(new_seed: number | bigint): void {
  const isInteger = typeof new_seed === 'bigint' || Number.isSafeInteger(new_seed)
  if (!isInteger || BigInt(new_seed) < 0n || BigInt(new_seed) >= 2n ** 64n) {
    throw new ArgumentError({ argument: 'new_seed', expected: 'an integer in [0, 2^64)', actual: new_seed })
  }
  seed = BigInt(new_seed)
  offset = 0n
}

/** Standard normal numbers: `randn(2048, 8, 128, { dtype, requires_grad })`. Dtypes differ by rounding only. */
export function randn(...args: SizeArguments<TensorOptions>): Tensor {
  const [shape, options] = splitSizeArguments(args)
  return createTensor(shape, options, { dtype: 'float32', device: 'cpu' }, fillNormal)
}

/** Standard normal numbers in the shape of `x`; dtype and device too, unless given. */
export function randn_like(x: Tensor, options?: TensorOptions): Tensor {
  assertTensor('x', x)
  return createTensor(x.shape, options, x, fillNormal)
}

/** Uniform numbers in [0, 1). */
export function rand(...args: SizeArguments<TensorOptions>): Tensor {
  const [shape, options] = splitSizeArguments(args)
  return createTensor(shape, options, { dtype: 'float32', device: 'cpu' }, out => {
    fillUniform(out, 0, 1)
  })
}

/** Overwrites a new tensor with uniform numbers in [low, high). */
export function fillUniform(out: Tensor, low: number, high: number): void {
  assertFloat(out)
  backendOf(out.device).randUniform(out, seed, advance(out.numel()), low, high)
}

function fillNormal(out: Tensor): void {
  assertFloat(out)
  backendOf(out.device).randn(out, seed, advance(out.numel()))
}

function assertFloat(out: Tensor): void {
  if (isFloatDType(out.dtype)) return
  throw new DTypeError({ argument: 'dtype', expected: 'a float dtype for random numbers', actual: out.dtype })
}

/** Takes `count` numbers from the generator; returns where they begin. */
function advance(count: number): bigint {
  const start = offset
  offset = BigInt.asUintN(64, offset + BigInt(count))
  return start
}
