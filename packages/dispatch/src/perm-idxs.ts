import { IndexError } from '@magi-attention/common'

/**
 * The inverse of a permutation: `[1, 2, 0, 3]` gives `[2, 0, 1, 3]`.
 * @throws `IndexError` unless `perm_idxs` holds each of `0 … length - 1` once, naming `perm_idxs[i]`
 */
export function perm_idxs2unperm_idxs(perm_idxs: readonly number[]): number[] {
  const unperm = new Array<number>(perm_idxs.length).fill(-1)
  for (const [i, index] of perm_idxs.entries()) {
    if (unperm[index] !== -1) {
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
