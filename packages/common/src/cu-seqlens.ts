import { checkInteger } from './attn-range.js'
import { ArgumentError } from './errors/index.js'

/**
 * Whether `cu_seqlens` cuts a sequence of `seqlen` tokens into non-empty samples: first 0, strictly
 * increasing, last `seqlen`. The empty list is valid for every length.
 */
export function is_valid_cu_seqlens(cu_seqlens: ArrayLike<number>, seqlen: number): boolean {
  const count = cu_seqlens.length
  if (count === 0) return true
  if (cu_seqlens[0] !== 0 || cu_seqlens[count - 1] !== seqlen) return false
  for (let i = 1; i < count; i++) {
    if (!Number.isSafeInteger(cu_seqlens[i]) || cu_seqlens[i]! <= cu_seqlens[i - 1]!) return false
  }
  return true
}

/** @throws {@link ArgumentError} unless `is_valid_cu_seqlens(cu_seqlens, seqlen)` */
export function check_valid_cu_seqlens(cu_seqlens: ArrayLike<number>, seqlen: number): void {
  if (is_valid_cu_seqlens(cu_seqlens, seqlen)) return
  throw new ArgumentError({
    argument: 'cu_seqlens',
    expected: `integers that begin with 0, increase strictly and end with seqlen ${seqlen}`,
    actual: Array.from(cu_seqlens),
  })
}

/**
 * Running sums of sample lengths: `[2, 3]` gives `[0, 2, 5]`.
 * @throws {@link ArgumentError} for a length that is not an integer `>= 0`
 */
export function seqlens2cu_seqlens(seqlens: ArrayLike<number>): number[] {
  const sums = [0]
  let sum = 0
  for (let i = 0; i < seqlens.length; i++) {
    sum += checkInteger(seqlens[i], `seqlens[${i}]`, 0)
    sums.push(sum)
  }
  return sums
}

/**
 * Sample lengths of running sums: `[0, 2, 5]` gives `[2, 3]`.
 * @throws {@link ArgumentError} unless the sums are integers that begin with 0 and never decrease
 */
export function cu_seqlens2seqlens(cu_seqlens: ArrayLike<number>): number[] {
  const seqlens: number[] = []
  for (let i = 0; i < cu_seqlens.length; i++) {
    const previous = i === 0 ? 0 : cu_seqlens[i - 1]!
    const sum = checkInteger(cu_seqlens[i], `cu_seqlens[${i}]`, previous)
    if (i > 0) seqlens.push(sum - previous)
    else if (sum !== 0) throw new ArgumentError({ argument: 'cu_seqlens[0]', expected: '0', actual: sum })
  }
  return seqlens
}
