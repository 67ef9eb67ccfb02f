import { ArgumentError, ShapeError } from './errors/index.js'

/**
 * Which cells of a slice `[q0, q1) x [k0, k1)` are attended. For query `i` and key `j`:
 *
 * | type | attended when | aligned to |
 * |---|---|---|
 * | `full` | always | |
 * | `causal` | `j - i <= k1 - q1` | bottom-right corner |
 * | `inv_causal` | `j - i >= k0 - q0` | top-left corner |
 * | `bi_causal` | both | both corners |
 */
export const AttnMaskType = {
  FULL: 'full',
  CAUSAL: 'causal',
  INV_CAUSAL: 'inv_causal',
  BI_CAUSAL: 'bi_causal',
} as const

export type AttnMaskType = (typeof AttnMaskType)[keyof typeof AttnMaskType]

/** One mask type for all slices, or a list with one for each. */
export type GeneralAttnMaskType = string | AttnMaskType | readonly (string | AttnMaskType)[]

/**
 * All mask types; the place in this list is the integer code: full 0, causal 1, inv_causal 2, bi_causal 3.
 */
export const ATTN_MASK_TYPES: readonly AttnMaskType[] = Object.freeze(Object.values(AttnMaskType))

const expected = "'full' | 'causal' | 'inv_causal' | 'bi_causal', or its code 0 | 1 | 2 | 3"

/**
 * The mask type of a name or an integer code.
 * @param argument - name to use in the error
 * @throws {@link ArgumentError} for anything else
 */
export function attn_mask_type_from(value: string | number, argument = 'attn_mask_type'): AttnMaskType {
  const type =
    typeof value === 'number' ? ATTN_MASK_TYPES[value] : ATTN_MASK_TYPES.find(name => name === value)
  if (type === undefined) throw new ArgumentError({ argument, expected, actual: value })
  return type
}

/**
 * Integer code of a mask type: full 0, causal 1, inv_causal 2, bi_causal 3.
 * @throws {@link ArgumentError} for an unknown type
 */
export function to_int_type(type: AttnMaskType): number {
  const code = ATTN_MASK_TYPES.indexOf(type)
  if (code < 0)
    throw new ArgumentError({ argument: 'type', expected: ATTN_MASK_TYPES.join(' | '), actual: type })
  return code
}

/**
 * Mask type of an integer code.
 * @throws {@link ArgumentError} for any other value than 0, 1, 2, 3
 */
export function from_int_type(code: number): AttnMaskType {
  const type = typeof code === 'number' ? ATTN_MASK_TYPES[code] : undefined
  if (type === undefined)
    throw new ArgumentError({ argument: 'code', expected: '0 | 1 | 2 | 3', actual: code })
  return type
}

/**
 * One mask type for each of `count` slices. A single name or code stands for all of them.
 * @param argument - name to use in the errors
 * @throws {@link ShapeError} for a list of another length
 * @throws {@link ArgumentError} for an unknown type, named `attn_mask_type[i]`
 */
export function parse_attn_mask_types(
  types: GeneralAttnMaskType | number | ArrayLike<string | number>,
  count: number,
  argument = 'attn_mask_type',
): AttnMaskType[] {
  if (typeof types === 'string' || typeof types === 'number') {
    return new Array<AttnMaskType>(count).fill(attn_mask_type_from(types, argument))
  }
  if (typeof types !== 'object' || types === null || typeof types.length !== 'number') {
    throw new ArgumentError({ argument, expected: `${expected}, or a list of them`, actual: types })
  }
  if (types.length !== count) {
    throw new ShapeError({
      argument,
      expected: `${count} mask types, one for each slice`,
      actual: types.length,
      hint: 'A single mask type stands for all slices.',
    })
  }
  return Array.from(types, (type, i) => attn_mask_type_from(type, `${argument}[${i}]`))
}
