import { createHash } from 'node:crypto'
import { ArgumentError } from '@magi-attention/common'
import { manual_seed } from '@magi-attention/tensor'

/**
 * A seed from a text: its SHA-256, read as one big number, modulo 2^32.
 * @throws `ArgumentError` when `s` is not a string.
 */
export function str2seed(s: string): number {
  if (typeof s !== 'string') throw new ArgumentError({ argument: 's', expected: 'a string', actual: s })
  // A digest is big-endian, so what is left modulo 2^32 is its last four bytes.
  return createHash('sha256').update(s, 'utf8').digest().readUInt32BE(28)
}

/**
 * Seeds every generator of the library, so that a program gives the same numbers again.
 * @throws `ArgumentError` when `seed` is not a whole number from 0 to 2^53 − 1.
 */
export function set_random_seed(seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ArgumentError({ argument: 'seed', expected: 'a whole number from 0 to 2^53 - 1', actual: seed })
  }
  manual_seed(seed)
}
