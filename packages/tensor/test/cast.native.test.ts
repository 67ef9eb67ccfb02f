import { from_typed_array, manual_seed, rand, set_num_threads, tensor } from '@magi-attention/tensor'
import { afterEach, describe, expect, it } from 'vitest'

interface FloatFormat {
  readonly dtype: 'bfloat16' | 'float16'
  readonly mantissaBits: number
  readonly bias: number
}

const formats: FloatFormat[] = [
  { dtype: 'bfloat16', mantissaBits: 7, bias: 127 },
  { dtype: 'float16', mantissaBits: 10, bias: 15 },
]

/** The value of a 16-bit pattern, by the definition of the format. */
function decode(bits: number, { mantissaBits, bias }: FloatFormat): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits & 0x7fff) >> mantissaBits
  const mantissa = bits & ((1 << mantissaBits) - 1)
  if (exponent === 2 * bias + 1) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits)
  return sign * (1 + mantissa * 2 ** -mantissaBits) * 2 ** (exponent - bias)
}

/** Nearest pattern, ties to the even one, found among the two neighbours in the ordered list of finite values. */
function encode(value: number, format: FloatFormat): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  const infinity = (2 * format.bias + 1) << format.mantissaBits
  let low = 0
  let high = infinity
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (decode(middle, format) <= magnitude) low = middle
    else high = middle
  }
  // Beyond the largest finite value, the next one would be 2^(bias + 1).
  const above = high === infinity ? 2 ** (format.bias + 1) : decode(high, format)
  if (magnitude === Number.POSITIVE_INFINITY) return sign | infinity
  const toLow = magnitude - decode(low, format)
  const toHigh = above - magnitude
  if (toLow === toHigh) return sign | (low % 2 === 0 ? low : high)
  return sign | (toLow < toHigh ? low : high)
}

const allBits = Uint16Array.from({ length: 65536 }, (_, i) => i)

afterEach(() => set_num_threads(2))

describe.each(formats)('$dtype', format => {
  const { dtype } = format
  const asBits = (values: Float32Array | Float64Array) =>
    from_typed_array(values).to(dtype).to_typed_array() as Uint16Array

  it('widens all 65536 patterns as the format defines them', () => {
    const x = from_typed_array(allBits, [65536], { dtype })
    const expected = Array.from(allBits, bits => decode(bits, format))
    expect(Array.from(x.to_float32_array())).toEqual(expected)
    expect(Array.from(x.to('float64').to_typed_array() as Float64Array)).toEqual(expected)
  })

  it('comes back from float32 and float64 unchanged, NaN as NaN', () => {
    const x = from_typed_array(allBits, [65536], { dtype })
    for (const wide of ['float32', 'float64'] as const) {
      const back = x.to(wide).to(dtype).to_typed_array() as Uint16Array
      const wrong = Array.from(allBits).filter(bits => {
        if (!Number.isNaN(decode(bits, format))) return back[bits] !== bits
        return !Number.isNaN(decode(back[bits]!, format))
      })
      expect(wrong).toEqual([])
    }
  })

  it('rounds the middle between any two neighbours to the even one', () => {
    const last = (2 * format.bias + 1) << format.mantissaBits
    const middles = Float64Array.from(
      { length: last - 1 },
      (_, i) => (decode(i, format) + decode(i + 1, format)) / 2,
    )
    const expected = Array.from(middles, (_, i) => (i % 2 === 0 ? i : i + 1))
    expect(Array.from(asBits(middles))).toEqual(expected)
    expect(Array.from(asBits(Float32Array.from(middles)))).toEqual(expected)
    expect(Array.from(asBits(middles.map(value => -value)))).toEqual(expected.map(bits => bits | 0x8000))
  })

  it('rounds random float32 patterns to nearest even', () => {
    manual_seed(3)
    const patterns = Uint32Array.from(
      rand([200_000], { dtype: 'float64' }).to_typed_array() as Float64Array,
      value => Math.floor(value * 2 ** 32),
    )
    const values = new Float32Array(patterns.buffer)
    const bits = asBits(values)
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!
      if (Number.isNaN(value)) expect(decode(bits[i]!, format)).toBeNaN()
      else if (bits[i] !== encode(value, format))
        expect.fail(`${value}: ${bits[i]}, expected ${encode(value, format)}`)
    }
  })

  it('rounds float64 once, not by way of float32', () => {
    const step = 2 ** -format.mantissaBits
    // Just above a tie: by way of float32 it would become the tie and round down.
    expect(Array.from(asBits(Float64Array.of(1 + step / 2 + 2 ** -40)))).toEqual([encode(1 + step, format)])
  })

  it('overflows to infinity and keeps NaN and infinities', () => {
    const largest = decode(((2 * format.bias + 1) << format.mantissaBits) - 1, format)
    const halfStep = 2 ** (format.bias - format.mantissaBits - 1)
    const values = Float64Array.of(
      largest + halfStep * 0.99,
      largest + halfStep,
      -1e300,
      Number.NaN,
      -Infinity,
      -0,
    )
    expect(from_typed_array(values).to(dtype).tolist()).toEqual([
      largest,
      Infinity,
      -Infinity,
      Number.NaN,
      -Infinity,
      -0,
    ])
  })

  it('does not depend on the number of threads', () => {
    const x = rand([100_003])
    set_num_threads(1)
    const one = x.to(dtype)
    set_num_threads(3)
    expect(x.to(dtype).equal(one)).toBe(true)
  })
})

describe('conversion to integers', () => {
  it('truncates, clamps, and makes 0 of NaN', () => {
    const x = tensor([1.9, -1.9, 1e20, -1e20, Number.NaN, Infinity])
    expect(x.to('int32').tolist()).toEqual([1, -1, 2 ** 31 - 1, -(2 ** 31), 0, 2 ** 31 - 1])
    expect(x.to('int64').to_typed_array()).toEqual(
      BigInt64Array.of(1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 0n, 2n ** 63n - 1n),
    )
  })

  it('between integers and back to floats', () => {
    expect(tensor([3, -4], { dtype: 'int32' }).to('int64').to('float64').to('bfloat16').tolist()).toEqual([
      3, -4,
    ])
  })
})
