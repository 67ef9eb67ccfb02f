import assert from 'node:assert/strict'
import { type DType, type Tensor, tensor } from '@magi-attention/tensor'

/** Small whole numbers, exact in every dtype, that every rank can work out for every other. */
export function valuesOf(rank: number, count: number, salt = 0): number[] {
  return Array.from({ length: count }, (_, i) => valueAt(rank, i, salt))
}

/** The value at a flat index. */
export function valueAt(rank: number, index: number, salt = 0): number {
  return ((rank * 31 + index * 7 + salt * 5) % 13) - 6
}

export function makeTensor(rank: number, shape: readonly number[], dtype: DType, salt = 0): Tensor {
  const count = shape.reduce((product, size) => product * size, 1)
  return tensor(valuesOf(rank, count, salt), { dtype }).view(shape)
}

/** All values, flat. */
export function flat(x: Tensor): number[] {
  return Array.from(x.to('float64').to_typed_array() as Float64Array)
}

export function assertValues(x: Tensor, expected: readonly number[], what: string): void {
  assert.deepEqual(flat(x), [...expected], what)
}

/** Runs a function that must throw, and gives what it threw. */
export function caught(body: () => unknown): {
  name: string
  code: string
  message: string
  ranks: number[]
} {
  try {
    body()
  } catch (error) {
    return error as ReturnType<typeof caught>
  }
  throw new Error('expected an error, but nothing was thrown')
}
