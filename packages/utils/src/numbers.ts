import { ArgumentError, IndexError } from '@magi-attention/common'
import { requireArray } from './require.js'

/**
 * The smallest integer that is at least `a / b`.
 * @throws `ArgumentError` when an argument is not a whole number or `b` is not above 0.
 */
export function ceil_div(a: number, b: number): number {
  requireInteger('a', a)
  requireDivisor('b', b)
  // Not Math.ceil(a / b): the quotient of integers above 2^53 / b is already rounded.
  const remainder = a % b
  return (a - remainder) / b + (remainder > 0 ? 1 : 0)
}

/**
 * All divisors of `n`, ascending: `get_factors(12)` gives `[1, 2, 3, 4, 6, 12]`.
 * @throws `ArgumentError` when `n` is not a whole number above 0.
 */
export function get_factors(n: number): number[] {
  requireDivisor('n', n)
  const small: number[] = []
  const large: number[] = []
  for (let factor = 1; factor * factor <= n; factor++) {
    if (n % factor !== 0) continue
    small.push(factor)
    if (factor * factor !== n) large.unshift(n / factor)
  }
  return [...small, ...large]
}

/** Those of `factors` in `[lo, hi]`, both ends included, that are multiples of `multiple_of`. */
export function find_factors_in_range(
  factors: readonly number[],
  lo: number,
  hi: number,
  multiple_of = 1,
): number[] {
  requireArray('factors', factors)
  requireDivisor('multiple_of', multiple_of)
  return factors.filter(factor => factor >= lo && factor <= hi && factor % multiple_of === 0)
}

/** How {@link argmin}, {@link argmax} and {@link argsort} rank an item. Default: the item itself. */
export interface RankOptions<T> {
  readonly key?: (item: T) => number
}

/**
 * Index of the smallest item, the first one among equals.
 * @throws `IndexError` when the list is empty.
 */
export function argmin<T = number>(list: readonly T[], options?: RankOptions<T>): number {
  return bestIndex(list, options, 1)
}

/**
 * Index of the largest item, the first one among equals.
 * @throws `IndexError` when the list is empty.
 */
export function argmax<T = number>(list: readonly T[], options?: RankOptions<T>): number {
  return bestIndex(list, options, -1)
}

/** Indices of the items in ascending order; equal items keep their order. */
export function argsort<T = number>(list: readonly T[], options?: RankOptions<T>): number[] {
  const keys = ranks(list, options)
  return keys.map((_, index) => index).sort((a, b) => keys[a]! - keys[b]!)
}

function bestIndex<T>(list: readonly T[], options: RankOptions<T> | undefined, sign: 1 | -1): number {
  const keys = ranks(list, options)
  if (keys.length === 0)
    throw new IndexError({ argument: 'list', expected: 'at least one item', actual: list })
  let best = 0
  for (let index = 1; index < keys.length; index++) {
    if (sign * (keys[index]! - keys[best]!) < 0) best = index
  }
  return best
}

function ranks<T>(list: readonly T[], options: RankOptions<T> | undefined): number[] {
  requireArray('list', list)
  const key = options?.key ?? ((item: T) => item as unknown as number)
  return list.map((item, index) => {
    const rank = key(item)
    if (typeof rank === 'number' && !Number.isNaN(rank)) return rank
    throw new ArgumentError({
      argument: `list[${index}]`,
      expected: 'an item that ranks as a number',
      actual: rank,
    })
  })
}

function requireInteger(argument: string, value: number): void {
  if (Number.isSafeInteger(value)) return
  throw new ArgumentError({ argument, expected: 'a whole number', actual: value })
}

function requireDivisor(argument: string, value: number): void {
  if (Number.isSafeInteger(value) && value > 0) return
  throw new ArgumentError({ argument, expected: 'a whole number above 0', actual: value })
}
