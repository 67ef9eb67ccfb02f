import { ArgumentError, InvalidRangeError, ShapeError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { AttnArg } from './attn-arg.js'
import { CalcMeta } from './calc-meta.js'
import { CommMeta } from './comm-meta.js'
import { GroupCollectiveArg, type GroupCollectiveArgOptions } from './group-collective-arg.js'

const host = new AttnArg({ q_ranges: [[0, 4]], k_ranges: [[0, 4]], attn_type_map: [1] })
const remote = new AttnArg({
  q_ranges: [
    [0, 4],
    [2, 4],
  ],
  k_ranges: [
    [0, 2],
    [2, 6],
  ],
  attn_type_map: [0, 'inv_causal'],
})
const empty = new AttnArg({ q_ranges: [], k_ranges: [], attn_type_map: [] })

const plan: GroupCollectiveArgOptions = {
  input_split_size_list: [2, 1, 1],
  dst_indices_list: [[1], [1, 2], []],
  output_split_size_list: [3, 2],
  src_index_list: [1, 2],
  rank: 0,
  world_size: 3,
}

describe('AttnArg', () => {
  it('keeps slices as they are, and counts their cells once', () => {
    expect([host.total_area, remote.total_area, empty.total_area]).toEqual([10, 15, 0])
    const twice = new AttnArg({
      q_ranges: [
        [0, 4],
        [0, 4],
      ],
      k_ranges: [
        [0, 4],
        [0, 2],
      ],
      attn_type_map: [1, 0],
    })
    expect(twice.q_ranges.length).toBe(2)
    expect(twice.total_area).toBe(10 + 1)
    expect(new AttnArg({ ...twice, total_area: 99 }).total_area).toBe(99)
  })

  it('joins masks whose keys are put one behind the other', () => {
    const joined = AttnArg.join([
      { arg: host, seqlen_k: 4 },
      { arg: empty, seqlen_k: 3 },
      { arg: remote, seqlen_k: 6 },
    ])
    expect(joined.k_ranges.to_naive_ranges()).toEqual([
      [0, 4],
      [7, 9],
      [9, 13],
    ])
    expect([joined.attn_type_map, joined.total_area]).toEqual([[1, 0, 2], 25])
    expect(AttnArg.join([]).can_skip()).toBe(true)
  })

  it('moves queries', () => {
    const moved = remote.move_queries(3)
    expect(moved.q_ranges.to_naive_ranges()).toEqual([
      [3, 7],
      [5, 7],
    ])
    expect(moved.k_ranges.equals(remote.k_ranges)).toBe(true)
    expect([moved.attn_type_map, moved.total_area]).toEqual([remote.attn_type_map, 15])
  })

  it('gives the arguments of the kernel', () => {
    expect(remote.to_ffa_args()).toEqual({
      q_ranges: Int32Array.of(0, 4, 2, 4),
      k_ranges: Int32Array.of(0, 2, 2, 6),
      attn_type_map: Int32Array.of(0, 2),
      disable_fwd_atomic_reduction: false,
    })
    expect(host.to_ffa_args(true).disable_fwd_atomic_reduction).toBe(true)
    expect([host.can_skip(), empty.can_skip(), empty.can_skip(true)]).toEqual([false, true, true])
    const far = new AttnArg({ q_ranges: [[0, 4]], k_ranges: [[0, 2 ** 31]], attn_type_map: [0] })
    expect(() => far.to_ffa_args()).toThrow(InvalidRangeError)
  })

  it('writes bands as slices', () => {
    const arg = AttnArg.from_bands([{ q0: 0, q1: 8, k0: 0, k1: 4, lo: -3, hi: 0 }])
    expect(arg.q_ranges.to_naive_ranges()).toEqual([
      [0, 3],
      [3, 7],
    ])
    expect(arg.attn_type_map).toEqual([1, 2])
    expect(arg.total_area).toBe(16)
  })

  it('refuses lists that do not pair up', () => {
    expect(() => new AttnArg({ q_ranges: [[0, 4]], k_ranges: [], attn_type_map: [1] })).toThrow(ShapeError)
    expect(() => new AttnArg({ q_ranges: [[0, 4]], k_ranges: [[0, 4]], attn_type_map: [] })).toThrow(
      ShapeError,
    )
    expect(() => new AttnArg({ q_ranges: [[0, 4]], k_ranges: [[0, 4]], attn_type_map: [4] })).toThrow(
      /attn_type_map\[0\]/,
    )
    expect(() => new AttnArg({ q_ranges: [[4, 0]], k_ranges: [[0, 4]], attn_type_map: [0] })).toThrow(
      InvalidRangeError,
    )
  })
})

describe('CalcMeta', () => {
  const options = {
    local_attn_arg: host,
    remote_attn_args_list: [remote, empty, remote],
    headdim: 64,
    seqlen_q_shard: 4,
    seqlen_k_local: 4,
    seqlen_k_per_remote_stage: [6, 1, 6],
  }

  it('adds up its stages', () => {
    const meta = new CalcMeta(options)
    expect([meta.overlap_degree, meta.total_area, meta.no_overlap]).toEqual([3, 40, false])
    expect(meta.merged_attn_arg).toBeNull()
  })

  it('merges its stages into one call', () => {
    const { merged_attn_arg } = new CalcMeta({ ...options, no_overlap: true })
    expect(merged_attn_arg?.q_ranges.to_naive_ranges()).toEqual([
      [0, 4],
      [0, 4],
      [2, 4],
      [0, 4],
      [2, 4],
    ])
    expect(merged_attn_arg?.k_ranges.to_naive_ranges()).toEqual([
      [0, 4],
      [4, 6],
      [6, 10],
      [11, 13],
      [13, 17],
    ])
    expect(merged_attn_arg?.attn_type_map).toEqual([1, 0, 2, 0, 2])
    expect(merged_attn_arg?.total_area).toBe(40)
    expect(host.k_ranges.to_naive_ranges()).toEqual([[0, 4]])
  })

  it('refuses lengths that do not fit', () => {
    expect(() => new CalcMeta({ ...options, seqlen_k_per_remote_stage: [6] })).toThrow(ShapeError)
    expect(() => new CalcMeta({ ...options, seqlen_q_shard: -1 })).toThrow(/seqlen_q_shard/)
    expect(() => new CalcMeta({ ...options, headdim: 0 })).toThrow(/headdim/)
  })
})

describe('GroupCollectiveArg', () => {
  it('gives the arguments of a group cast, and of a group reduce with the roles swapped', () => {
    const arg = new GroupCollectiveArg(plan)
    expect(arg.to_group_cast_args()).toEqual({
      input_split_sizes: [2, 1, 1],
      output_split_sizes: [3, 2],
      dst_indices: [[1], [1, 2], []],
      src_index: [1, 2],
    })
    expect(arg.to_group_reduce_args()).toEqual({
      input_split_sizes: [3, 2],
      output_split_sizes: [2, 1, 1],
      dst_index: [1, 2],
      src_indices: [[1], [1, 2], []],
    })
    expect([arg.num_sent_tokens, arg.num_received_tokens]).toEqual([4, 5])
    expect(arg).toMatchObject({ deterministic: false, split_alignment: 1 })
  })

  it.each([
    [{ dst_indices_list: [[1]] }, ShapeError],
    [{ src_index_list: [] }, ShapeError],
    [{ src_index_list: [1, 3] }, ArgumentError],
    [{ dst_indices_list: [[1], [2, 1], []] }, ArgumentError],
    [{ dst_indices_list: [[1], [1, 1], []] }, ArgumentError],
    [{ input_split_size_list: [2, -1, 1] }, ArgumentError],
    [{ split_alignment: 2 }, ArgumentError],
    [{ rank: 3 }, ArgumentError],
  ])('refuses %o', (change, error) => {
    expect(() => new GroupCollectiveArg({ ...plan, ...change })).toThrow(error)
  })
})

describe('CommMeta', () => {
  const options = {
    num_remote_kv_tokens_per_stage: [5],
    kv_group_collective_args_list: [new GroupCollectiveArg(plan)],
    num_heads_q: 8,
    num_heads_kv: 2,
    head_dim: 16,
  }

  it('counts bytes', () => {
    const meta = new CommMeta(options)
    expect(meta.kv_bytes_per_stage()).toEqual([{ sent: 4 * 2 * 2 * 16 * 2, received: 5 * 2 * 2 * 16 * 2 }])
    expect(meta.kv_bytes_per_stage(4)).toEqual([{ sent: 4 * 256, received: 5 * 256 }])
    expect(meta.q_bytes_per_stage()).toEqual([{ sent: 0, received: 0 }])
    expect(meta.num_remote_qo_tokens_per_stage).toEqual([0])
    expect(meta.qo_group_collective_args_list).toEqual([null])
    const withQueries = new CommMeta({
      ...options,
      num_remote_qo_tokens_per_stage: [5],
      qo_group_collective_args_list: options.kv_group_collective_args_list,
    })
    expect(withQueries.q_bytes_per_stage(4)).toEqual([{ sent: 4 * 8 * 16 * 4, received: 5 * 8 * 16 * 4 }])
    expect(() => meta.kv_bytes_per_stage(0)).toThrow(/bytes_per_element/)
  })

  it('refuses counts that the plans do not bring', () => {
    expect(() => new CommMeta({ ...options, num_remote_kv_tokens_per_stage: [6] })).toThrow(/5 tokens/)
    expect(() => new CommMeta({ ...options, num_remote_kv_tokens_per_stage: [] })).toThrow(ShapeError)
    expect(() => new CommMeta({ ...options, num_remote_qo_tokens_per_stage: [1] })).toThrow(ArgumentError)
    expect(() => new CommMeta({ ...options, head_dim: 0 })).toThrow(/head_dim/)
  })
})
