import { ArgumentError, describeValue } from '@magi-attention/common'

/** @internal */
export function requireCount(argument: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return
  throw new ArgumentError({ argument, expected: 'a whole number, not negative', actual: value })
}

/** @internal */
export function requirePositive(argument: string, value: number): void {
  if (Number.isFinite(value) && value > 0) return
  throw new ArgumentError({ argument, expected: 'a finite number above 0', actual: value })
}

/** @internal */
export function requireArray(argument: string, value: unknown): asserts value is readonly unknown[] {
  if (Array.isArray(value)) return
  throw new ArgumentError({ argument, expected: 'an array', actual: describeValue(value) })
}
