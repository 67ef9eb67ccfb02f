import { ArgumentError, DTypeError, ShapeError } from '@magi-attention/common'
import type { DType, Shape, Tensor } from '@magi-attention/tensor'
import { assertInteger, assertTensor, dtypeSize, sameShape } from '@magi-attention/tensor/internal'

/** @throws ArgumentError unless `value` is true, false or left out */
export function parseFlag(argument: string, value: unknown, byDefault: boolean): boolean {
  if (value === undefined) return byDefault
  if (typeof value === 'boolean') return value
  throw new ArgumentError({ argument, expected: 'true or false', actual: value })
}

/** @throws ArgumentError unless `options` is an object with known names only, such as a misspelt one has not */
export function assertOptions(argument: string, options: unknown, names: readonly string[]): void {
  const expected = `an object of ${names.join(', ')}`
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ArgumentError({ argument, expected, actual: options })
  }
  const unknown = Object.keys(options).find(name => !names.includes(name))
  if (unknown !== undefined) throw new ArgumentError({ argument, expected, actual: unknown })
}

/** @throws ArgumentError unless `value` is one of `choices` */
export function assertChoice<T extends string>(argument: string, value: unknown, choices: readonly T[]): T {
  if (choices.includes(value as T)) return value as T
  throw new ArgumentError({ argument, expected: `one of ${choices.join(', ')}`, actual: value })
}

/** A positive, finite number of seconds. */
export function assertSeconds(argument: string, value: unknown): number {
  if (typeof value === 'number' && value > 0 && Number.isFinite(value)) return value
  throw new ArgumentError({ argument, expected: 'a positive number of seconds', actual: value })
}

/** Non-negative integers, as many as `length` says. */
export function assertSizes(argument: string, value: unknown, length?: number): readonly number[] {
  if (!Array.isArray(value) || (length !== undefined && value.length !== length)) {
    const expected = length === undefined ? 'a list of sizes' : `a list of ${length} sizes`
    throw new ArgumentError({ argument, expected, actual: value })
  }
  value.forEach((size, i) => {
    assertInteger(`${argument}[${i}]`, size, 0)
  })
  return value as number[]
}

/** Sizes whose sum is what a tensor has along dimension 0. */
export function assertSplit(argument: string, sizes: readonly number[], name: string, tensor: Tensor): void {
  const total = sum(sizes)
  if (total === tensor.shape[0]) return
  throw new ShapeError({
    argument,
    expected: `sizes with the sum ${tensor.shape[0]}, the rows of ${name}`,
    actual: total,
  })
}

/** A live tensor on the CPU with a dimension 0 to be cut. */
export function assertRows(argument: string, value: unknown): Tensor {
  const tensor = assertTensor(argument, value, { device: 'cpu' })
  if (tensor.ndim > 0) return tensor
  throw new ShapeError({ argument, expected: 'a tensor of at least one dimension', actual: tensor })
}

/** A tensor whose dtype, and shape behind dimension 0, are those of another. */
export function assertSameRows(argument: string, value: unknown, name: string, other: Tensor): Tensor {
  const tensor = assertRows(argument, value)
  if (tensor.dtype !== other.dtype) {
    throw new DTypeError({ argument, expected: `the dtype of ${name}, ${other.dtype}`, actual: tensor })
  }
  if (sameShape(tensor.shape.slice(1), other.shape.slice(1))) return tensor
  throw new ShapeError({ argument, expected: `rows like those of ${name}, ${other}`, actual: tensor })
}

/** Elements of one row, dimension 0 being the rows. */
export function rowElements(shape: Shape): number {
  return shape.slice(1).reduce((product, size) => product * size, 1)
}

export function rowBytes(tensor: Tensor): number {
  return rowElements(tensor.shape) * dtypeSize(tensor.dtype)
}

/** Where a row begins. */
export function rowAddress(tensor: Tensor, row: number): bigint {
  return tensor.data_ptr() + BigInt(row * rowBytes(tensor))
}

export function byteLength(tensor: Tensor): number {
  return tensor.numel() * dtypeSize(tensor.dtype)
}

/** Where each of the pieces begins, and behind the last one, the sum. */
export function offsetsOf(sizes: readonly number[]): number[] {
  const offsets = [0]
  for (const size of sizes) offsets.push(offsets.at(-1)! + size)
  return offsets
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** `float32 [4, 8]`; the rows, where they may differ between ranks, as `*`. */
export function describeTensor(dtype: DType, shape: Shape, rows: number | '*' = shape[0] ?? 1): string {
  return shape.length === 0 ? `${dtype} []` : `${dtype} [${[rows, ...shape.slice(1)].join(', ')}]`
}
