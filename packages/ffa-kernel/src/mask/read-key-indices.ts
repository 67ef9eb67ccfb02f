import { ArgumentError, type Band, IndexError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import type { AttentionShape } from '../validation/check-shapes.js'
import { readIntegers } from './read-integers.js'

/** Ends the list of a query that has fewer keys than the others. */
const PADDING = -1

/**
 * Reads a mask given as the keys of every query, `[total_q, num_heads_kv, topk]`, into bands for each kv head.
 *
 * @throws ArgumentError, DTypeError, ShapeError, DisposedError for another tensor; IndexError for a key that does not exist
 */
export function readKeyIndices(input: Tensor, shape: AttentionShape): Band[][] {
  const { totalQ, totalK, numHeadsKv, device } = shape
  const tensor = assertTensor('index_attn_indices', input, {
    dtype: ['int32', 'int64'],
    shape: [totalQ, numHeadsKv, -1],
    device,
  })
  const topk = tensor.shape[2]!
  const indices = readIntegers(tensor)
  const heads: Band[][] = Array.from({ length: numHeadsKv }, () => [])
  for (let row = 0; row < totalQ; row++) {
    for (let head = 0; head < numHeadsKv; head++) {
      const keys = readKeys(indices, (row * numHeadsKv + head) * topk, topk, totalK)
      appendRuns(heads[head]!, row, keys)
    }
  }
  return heads
}

/** The keys of one query, ascending. */
function readKeys(indices: ArrayLike<number>, begin: number, topk: number, totalK: number): number[] {
  const keys: number[] = []
  for (let i = 0; i < topk; i++) {
    const key = indices[begin + i]!
    if (key === PADDING) continue
    if (key < 0 || key >= totalK) {
      throw new IndexError({
        argument: 'index_attn_indices',
        expected: `keys from 0 to ${totalK - 1}, or ${PADDING} behind the last one`,
        actual: key,
      })
    }
    if (keys.length < i) {
      throw new ArgumentError({
        argument: 'index_attn_indices',
        expected: `${PADDING} only behind the last key of a query`,
        actual: Array.from({ length: topk }, (_, n) => indices[begin + n]),
      })
    }
    keys.push(key)
  }
  return keys.sort((a, b) => a - b)
}

/** One band for each run of neighbouring keys. */
function appendRuns(bands: Band[], row: number, keys: readonly number[]): void {
  for (let i = 0; i < keys.length; ) {
    const first = keys[i]!
    let end = first
    while (i < keys.length && keys[i]! <= end) {
      end = keys[i]! + 1
      i++
    }
    bands.push({
      q0: row,
      q1: row + 1,
      k0: first,
      k1: end,
      lo: Number.NEGATIVE_INFINITY,
      hi: Number.POSITIVE_INFINITY,
    })
  }
}
