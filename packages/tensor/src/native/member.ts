import { InternalError } from '@magi-attention/common'

/** Types of struct members and parameters: fixed-width integers, floats and pointers. */
export type MemberType = 'i32' | 'u32' | 'i64' | 'u64' | 'f32' | 'f64' | 'ptr'

export const memberSizes: Readonly<Record<MemberType, number>> = {
  i32: 4,
  u32: 4,
  i64: 8,
  u64: 8,
  f32: 4,
  f64: 8,
  ptr: 8,
}

const integerBounds = {
  i32: [-(2n ** 31n), 2n ** 31n - 1n],
  u32: [0n, 2n ** 32n - 1n],
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
  u64: [0n, 2n ** 64n - 1n],
  ptr: [0n, 2n ** 64n - 1n],
} as const

/**
 * Refuses a value that C would read as something else.
 * @throws InternalError: our own code vouches for what it hands to a library.
 */
export function assertMember(what: string, type: MemberType, value: unknown, allowNonFinite: boolean): void {
  if (type === 'f32' || type === 'f64') {
    if (typeof value === 'number' && (allowNonFinite || Number.isFinite(value))) return
    throw new InternalError(
      `${what} must be a ${allowNonFinite ? '' : 'finite '}number, got ${String(value)}`,
    )
  }
  if (typeof value === 'number' && type !== 'ptr') {
    const [low, high] = integerBounds[type]
    if (Number.isSafeInteger(value) && value >= Number(low) && value <= Number(high)) return
  } else if (typeof value === 'bigint' && type !== 'i32' && type !== 'u32') {
    const [low, high] = integerBounds[type]
    if (value >= low && value <= high) return
  }
  throw new InternalError(`${what} must be a value of type ${type}, got ${typeof value} ${String(value)}`)
}
