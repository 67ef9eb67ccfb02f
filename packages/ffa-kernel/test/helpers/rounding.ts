import type { DType } from '@magi-attention/tensor'

/** Rounds a number to a dtype, to nearest even. */
export type Rounding = (value: number) => number

export function roundingOf(dtype: DType): Rounding {
  if (dtype === 'bfloat16') return roundToBfloat16
  if (dtype === 'float16') return roundToFloat16
  return dtype === 'float32' ? Math.fround : value => value
}

/** Distance from 1 to the next number. */
export const epsilonOf = {
  float64: 2 ** -52,
  float32: 2 ** -23,
  float16: 2 ** -10,
  bfloat16: 2 ** -7,
} as const

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

function roundToBfloat16(value: number): number {
  float[0] = value
  const word = bits[0]!
  bits[0] = (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000
  return float[0]!
}

function roundToFloat16(value: number): number {
  float[0] = value
  const exponent = Math.max(((bits[0]! >>> 23) & 0xff) - 127, -14)
  const ulp = 2 ** (exponent - 10)
  const rounded = roundTiesToEven(float[0]! / ulp) * ulp
  return Math.abs(rounded) > 65504 ? Math.sign(rounded) * Number.POSITIVE_INFINITY : rounded
}

function roundTiesToEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}
