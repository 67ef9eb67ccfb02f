import { describe, expect, it } from 'vitest'
import type { NaiveRange } from '../attn-range.js'
import { AttnRanges } from '../attn-ranges.js'
import { IndexError, ShapeError } from '../errors/index.js'
import { AttnSlice } from './attn-slice.js'
import { HostRankEntry } from './host-rank-entry.js'
import { MultiKAttnSlice } from './multi-k-attn-slice.js'
import { RemoteRankEntry } from './remote-rank-entry.js'

const ranges = (...pairs: NaiveRange[]) => AttnRanges.from_ranges(pairs)
const hostSlices = [2, 4, 6, 8].map(
  (end, i) =>
    new AttnSlice({ slice_id: i, mask_type: 'causal', q_range: [2 * i, 2 * i + 2], k_range: [0, end] }),
)
const remote = (q_range: NaiveRange, k: NaiveRange) =>
  new MultiKAttnSlice({ q_range, k_ranges: [k], mask_types: ['full'] })

describe('HostRankEntry', () => {
  // Rank 0 of a causal mask of 16 tokens on two ranks, chunks of 2.
  const options = {
    host_q_ranges_global: ranges([0, 2], [6, 10], [14, 16]),
    host_k_ranges_global: ranges([0, 2], [6, 10], [14, 16]),
    remote_k_ranges_global: ranges([2, 6], [10, 14]),
    remote_k_ranges_global_per_chunk: [ranges([2, 6]), ranges([10, 14])],
    attn_calc_host_slice_local_list: hostSlices,
    attn_calc_remote_slice_list_per_chunk: [
      [remote([2, 4], [0, 4]), remote([4, 6], [0, 4]), remote([6, 8], [0, 4])],
      [remote([6, 8], [4, 8])],
    ],
  }

  it('adds up work and traffic', () => {
    const entry = new HostRankEntry(options)
    expect(entry.get_host_calc_area()).toBe(36)
    expect([
      entry.get_remote_calc_area(),
      entry.get_remote_calc_area(0),
      entry.get_remote_calc_area(1),
    ]).toEqual([32, 24, 8])
    expect([entry.get_remote_comm_size(), entry.get_remote_comm_size(1)]).toEqual([8, 4])
  })

  it('refuses chunks that do not exist', () => {
    const entry = new HostRankEntry(options)
    expect(() => entry.get_remote_calc_area(2)).toThrow(IndexError)
    expect(() => entry.get_remote_comm_size(-1)).toThrow(IndexError)
    expect(() => new HostRankEntry({ ...options, remote_k_ranges_global_per_chunk: [] })).toThrow(ShapeError)
  })
})

describe('RemoteRankEntry', () => {
  it('keeps what it is given', () => {
    const entry = new RemoteRankEntry({
      host_k_ranges_global: ranges([0, 2]),
      remote_k_ranges_global: ranges([2, 6]),
      attn_calc_remote_slice_local_list: hostSlices,
    })
    expect(entry.remote_k_ranges_global.total_seqlen).toBe(4)
    expect(entry.attn_calc_remote_slice_local_list).toEqual(hostSlices)
  })
})
