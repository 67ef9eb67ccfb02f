import { Sharding } from '@magi-attention/dispatch'
import { describe, expect, it } from 'vitest'
import { flattenProblem, headsOfGroup } from './head-groups.js'
import type { DistAttnRuntimeKey } from './runtime-key.js'

const key = {
  q_ranges: [{ offset: (by: number) => [by, 7 + by] }],
  k_ranges: [{ offset: (by: number) => [2 + by, 5 + by] }],
  attn_mask_type: ['causal'],
} as unknown as DistAttnRuntimeKey

describe('flattenProblem', () => {
  it('puts the sequences of the groups one behind the other', () => {
    const sharding = {
      total_seqlen: 8,
      chunk_size: 2,
      partitions: [
        [0, 3],
        [1, 2],
      ],
    } // prettier-ignore
    expect(flattenProblem(key, sharding, 3)).toEqual({
      q_ranges: [
        [0, 7],
        [8, 15],
        [16, 23],
      ],
      k_ranges: [
        [2, 5],
        [10, 13],
        [18, 21],
      ],
      attn_mask_type: ['causal', 'causal', 'causal'],
      dispatch_meta_q: {
        total_seqlen: 24,
        chunk_size: 2,
        partitions: [
          [0, 3, 4, 7, 8, 11],
          [1, 2, 5, 6, 9, 10],
        ],
      },
    })
  })

  it('keeps the tokens of a rank together where the last chunk is short', () => {
    const short = { total_seqlen: 10, chunk_size: 4, partitions: [[0], [1, 2]] }
    const { dispatch_meta_q } = flattenProblem(key, short, 2)
    expect(new Sharding(dispatch_meta_q).rangesOf(1).to_naive_ranges()).toEqual([
      [4, 10],
      [14, 20],
    ])
  })

  it('leaves each group one kv head', () => {
    const heads = headsOfGroup({ num_heads_q: 12, num_heads_kv: 4, head_dim: 16 })
    expect(heads).toEqual({ num_heads_q: 3, num_heads_kv: 1, head_dim: 16 })
  })
})
