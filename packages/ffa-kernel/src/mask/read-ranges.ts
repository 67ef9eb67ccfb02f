import { ArgumentError, AttnRanges, InvalidRangeError, ShapeError } from '@magi-attention/common'
import { Tensor } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import type { RangesInput } from '../options/options.js'
import { readIntegers } from './read-integers.js'

/**
 * Reads ranges into flat integers `[n * 2]` and checks that each lies in `[0, limit]`.
 *
 * @param limitName what `limit` is, for messages: `total_q`
 * @throws ArgumentError for anything but ranges of integers, ShapeError for a tensor that is not `[n, 2]`, InvalidRangeError
 * for a range that ends before it starts or leaves `[0, limit]`
 */
export function readRanges(
  argument: string,
  input: RangesInput,
  limit: number,
  limitName: string,
): ArrayLike<number> {
  const flat = flatten(argument, input)
  for (let i = 0; i < flat.length; i += 2) {
    const start = flat[i]!
    const end = flat[i + 1]!
    // One comparison chain for the good case; NaN and fractions fail it too.
    if (start >= 0 && start <= end && end <= limit && Number.isInteger(start) && Number.isInteger(end))
      continue
    throw rangeError(`${argument}[${i / 2}]`, start, end, limit, limitName)
  }
  return flat
}

function flatten(argument: string, input: unknown): ArrayLike<number> {
  if (Array.isArray(input)) return flattenPairs(argument, input)
  if (input instanceof Int32Array) {
    if (input.length % 2 === 0) return input
    throw new ShapeError({ argument, expected: 'an even number of integers', actual: input.length })
  }
  if (input instanceof Tensor) {
    return readIntegers(assertTensor(argument, input, { dtype: ['int32', 'int64'], shape: [-1, 2] }))
  }
  if (input instanceof AttnRanges) return input.to_int32_array()
  throw new ArgumentError({
    argument,
    expected: 'an int32 tensor [n, 2], AttnRanges, or an array of [start, end] pairs',
    actual: input,
  })
}

function flattenPairs(argument: string, pairs: readonly unknown[]): number[] {
  const flat: number[] = []
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i] as { length?: unknown; start?: unknown; end?: unknown; 0?: unknown; 1?: unknown }
    const isPair = Array.isArray(pair) && pair.length === 2
    const start = isPair ? pair[0] : pair?.start
    const end = isPair ? pair[1] : pair?.end
    if (typeof start !== 'number' || typeof end !== 'number') {
      throw new ArgumentError({
        argument: `${argument}[${i}]`,
        expected: 'a pair of integers [start, end]',
        actual: pairs[i],
      })
    }
    flat.push(start, end)
  }
  return flat
}

function rangeError(
  argument: string,
  start: number,
  end: number,
  limit: number,
  limitName: string,
): ArgumentError {
  const actual = [start, end]
  if (!Number.isInteger(start) || !Number.isInteger(end)) {
    return new ArgumentError({ argument, expected: 'a pair of integers [start, end]', actual })
  }
  if (start > end) return new InvalidRangeError({ argument, expected: 'start <= end', actual })
  return new InvalidRangeError({
    argument,
    expected: `a range within [0, ${limit}), where ${limit} is ${limitName}`,
    actual,
  })
}
