import { ArgumentError } from '@magi-attention/common'

/**
 * Returns `value` when it is a safe integer of at least `min`.
 * @throws `ArgumentError` otherwise
 */
export function requireInteger(value: unknown, argument: string, min = 0): number {
  if (Number.isSafeInteger(value) && (value as number) >= min) return (value as number) + 0 // turns -0 into 0
  throw new ArgumentError({ argument, expected: `an integer >= ${min}`, actual: value })
}

/** Throws unless `options` is an object: a positional call would otherwise fail far away. */
export function requireOptions(options: unknown, argument: string, expected: string): void {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return
  throw new ArgumentError({ argument, expected, actual: options })
}
