import { ArgumentError, ATTN_MASK_TYPES, ShapeError } from '@magi-attention/common'
import { Tensor } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import type { AttnTypeMapInput } from '../options/options.js'
import { readIntegers } from './read-integers.js'

/**
 * Reads the mask types of `count` slices into codes: 0 full, 1 causal, 2 inv_causal, 3 bi_causal. Null: all full.
 *
 * @throws ArgumentError for an unknown type, ShapeError for another number of types than of slices
 */
export function readTypeCodes(
  argument: string,
  input: AttnTypeMapInput | null | undefined,
  count: number,
): ArrayLike<number> | null {
  if (input === undefined || input === null) return null
  if (typeof input === 'number' || typeof input === 'string') {
    const code = findCode(input)
    if (code === undefined) throw typeError(argument, input)
    return code === 0 ? null : new Array<number>(count).fill(code)
  }
  const list = listOf(argument, input)
  if (list.length !== count) {
    throw new ShapeError({
      argument,
      expected: `${count} mask types, one for each slice of q_ranges and k_ranges`,
      actual: list.length,
    })
  }
  const codes = new Array<number>(count)
  for (let i = 0; i < count; i++) {
    const code = findCode(list[i])
    if (code === undefined) throw typeError(`${argument}[${i}]`, list[i])
    codes[i] = code
  }
  return codes
}

function listOf(argument: string, input: unknown): ArrayLike<unknown> {
  if (Array.isArray(input) || input instanceof Int32Array) return input
  if (!(input instanceof Tensor)) {
    throw new ArgumentError({
      argument,
      expected: 'an int32 tensor [n], an array of mask types, or one mask type',
      actual: input,
    })
  }
  return readIntegers(assertTensor(argument, input, { dtype: ['int32', 'int64'], ndim: 1 }))
}

function findCode(type: unknown): number | undefined {
  if (type === 0 || type === 1 || type === 2 || type === 3) return type
  return codesByName.get(type)
}

const codesByName: ReadonlyMap<unknown, number> = new Map(ATTN_MASK_TYPES.map((name, code) => [name, code]))

function typeError(argument: string, actual: unknown): ArgumentError {
  return new ArgumentError({ argument, expected: `0 to 3, or one of ${ATTN_MASK_TYPES.join(', ')}`, actual })
}
