import { ArgumentError, IndexError } from './errors/index.js'

/**
 * The inverse of a permutation: `[1, 2, 0, 3]` gives `[2, 0, 1, 3]`.
 * @throws `IndexError` unless `perm_idxs` holds each of `0 … length - 1` once, naming `perm_idxs[i]`
 * @throws `ArgumentError` for what is no array
 */
export function perm_idxs2unperm_idxs(perm_idxs: readonly number[]): number[] {
  if (!Array.isArray(perm_idxs)) {
    throw new ArgumentError({ argument: 'perm_idxs', expected: 'an array', actual: perm_idxs })
  }
  const unperm = new Array<number>(perm_idxs.length).fill(-1)
  for (const [i, index] of perm_idxs.entries()) {
    if (!Number.isInteger(index) || unperm[index] !== -1) {
      throw new IndexError({
        argument: `perm_idxs[${i}]`,
        expected: `an index below ${perm_idxs.length} that is not there yet`,
        actual: index,
      })
    }
    unperm[index] = i
  }
  return unperm
}
