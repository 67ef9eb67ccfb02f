import { ArgumentError, ShapeError } from '@magi-attention/common'

/** How far an array is from the one it should be. Equal infinities count as equal; a lone NaN or infinity as infinitely far. */
export interface ErrorMeasures {
  /** `max |actual - expected|` */
  readonly maxAbs: number
  /** `‖actual - expected‖₂ / ‖expected‖₂`, over the finite expected values; 0 if both are 0. */
  readonly relativeNorm: number
  /** Fraction of elements with `|actual - expected| > atol + rtol * |expected|`. */
  readonly mismatchFraction: number
}

export interface Tolerances {
  /** Default 1e-5. */
  readonly atol?: number
  /** Default 1e-5. */
  readonly rtol?: number
}

export interface AssertCloseOptions extends Tolerances {
  /** Fraction of elements that may miss the tolerances. Default 0. */
  readonly mismatch_threshold?: number
  /** What is compared, for the message. Default `'values'`. */
  readonly test_case?: string
}

/** @throws ShapeError if the lengths differ. */
export function measureError(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { atol = 1e-5, rtol = 1e-5 }: Tolerances = {},
): ErrorMeasures {
  if (actual.length !== expected.length) {
    throw new ShapeError({ argument: 'actual', expected: `${expected.length} values`, actual: actual.length })
  }
  let maxAbs = 0
  let squares = 0
  let expectedSquares = 0
  let mismatches = 0
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i]!
    const distance = distanceBetween(actual[i]!, e)
    maxAbs = Math.max(maxAbs, distance)
    squares += distance * distance
    if (Number.isFinite(e)) expectedSquares += e * e
    if (distance > 0 && !(distance <= atol + rtol * Math.abs(e) && Number.isFinite(distance))) mismatches++
  }
  const relativeNorm = squares === 0 ? 0 : Math.sqrt(squares / expectedSquares)
  return { maxAbs, relativeNorm, mismatchFraction: expected.length === 0 ? 0 : mismatches / expected.length }
}

/**
 * Checks that two arrays agree within `atol + rtol * |expected|`, but for a fraction of `mismatch_threshold` of them.
 *
 * @throws ArgumentError that says how far they are apart.
 */
export function assert_close(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  options: AssertCloseOptions = {},
): void {
  const { atol = 1e-5, rtol = 1e-5, mismatch_threshold: threshold = 0, test_case: name = 'values' } = options
  const { maxAbs, relativeNorm, mismatchFraction } = measureError(actual, expected, { atol, rtol })
  if (mismatchFraction <= threshold) return
  throw new ArgumentError({
    argument: name,
    expected: `at most ${threshold * 100} % of the values outside atol ${atol}, rtol ${rtol}`,
    actual: `${(mismatchFraction * 100).toPrecision(3)} %, max |difference| ${maxAbs.toPrecision(3)}, ${relativeNorm.toPrecision(3)} of the norm`,
  })
}

function distanceBetween(actual: number, expected: number): number {
  if (actual === expected) return 0
  const distance = Math.abs(actual - expected)
  return Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance
}
