import { sliceArea } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import {
  DispatchConfig,
  DispatchData,
  DispatchJob,
  DispatchSolver,
  MinHeapDispatchAlg,
  make_dispatch_meta_from_qk_ranges,
} from '../index.js'
import { LocalityDispatchAlg } from './locality-dispatch-alg.js'

function meta(options: { total: number; uneven_shard?: boolean }) {
  const { total, uneven_shard = false } = options
  const half = total / 2
  return make_dispatch_meta_from_qk_ranges({
    q_ranges: [
      [0, half],
      [half, total],
    ],
    k_ranges: [
      [0, half],
      [half, total],
    ],
    attn_mask_type: ['causal', 'causal'],
    total_seqlen_q: total,
    total_seqlen_k: total,
    chunk_size: 4,
    cp_size: 4,
    cp_rank: 0,
    dispatch_config: new DispatchConfig({ alg: new LocalityDispatchAlg(), uneven_shard }),
  })[0]
}

describe('LocalityDispatchAlg', () => {
  it('keeps each of two documents on two ranks of four', () => {
    const { partitions } = meta({ total: 64 })
    const documents = partitions.map(chunks => new Set(chunks.map(chunk => Math.floor(chunk / 8))))
    expect(documents.map(set => set.size)).toEqual([1, 1, 1, 1])
    expect(partitions.map(chunks => chunks.length)).toEqual([4, 4, 4, 4])
    expect(partitions.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, i) => i))
  })

  it('shards unevenly with numbers of chunks that differ by one at most', () => {
    const { partitions, split_sizes } = meta({ total: 50, uneven_shard: true })
    const counts = partitions.map(chunks => chunks.length).sort()
    expect(counts).toEqual([3, 3, 3, 4])
    expect(split_sizes?.reduce((a, b) => a + b)).toBe(50)
  })

  it('only balances jobs without a mask', () => {
    const jobs = DispatchJob.from_job_list([2, 4, 3, 16, 13, 5, 9, 10])
    const dispatch_data = new DispatchData({ jobs, num_buckets: 4 })
    const { minimax_workload, bucket_partitions } = new DispatchSolver(new LocalityDispatchAlg()).solve({
      dispatch_data,
    })
    const minHeap = new DispatchSolver(new MinHeapDispatchAlg()).solve({ dispatch_data })
    expect(minimax_workload).toBe(18)
    expect(bucket_partitions).toEqual(minHeap.bucket_partitions.map(ids => [...ids].sort((a, b) => a - b)))
  })

  it('reports the load of the fullest rank', () => {
    const bands = [{ q0: 0, q1: 32, k0: 0, k1: 32, lo: Number.NEGATIVE_INFINITY, hi: 0 }]
    const workloads = Array.from({ length: 8 }, (_, i) => sliceArea([4 * i, 4 * i + 4], [0, 4 * i + 4], 1))
    const dispatch_data = new DispatchData({
      jobs: DispatchJob.from_job_list(workloads),
      num_buckets: 4,
      mask: { bands, total_seqlen: 32, chunk_size: 4 },
    })
    const solution = new DispatchSolver(new LocalityDispatchAlg()).solve({ dispatch_data })
    expect(solution).toEqual({
      minimax_workload: sliceArea([0, 32], [0, 32], 1) / 4,
      bucket_partitions: [
        [0, 7],
        [1, 6],
        [2, 5],
        [3, 4],
      ],
    })
  })

  it('can insist on equal numbers of chunks', () => {
    const dispatch_data = new DispatchData({ jobs: DispatchJob.from_job_list([1, 2, 3]), num_buckets: 2 })
    const solver = new DispatchSolver(new LocalityDispatchAlg({ equal_counts: true }))
    expect(() => solver.solve({ dispatch_data })).toThrow(/jobs: expected a multiple of num_buckets 2/)
  })

  it('prints its parameters', () => {
    expect(String(new LocalityDispatchAlg())).toBe('LocalityDispatchAlg(max_imbalance=1.02)')
    expect(String(new LocalityDispatchAlg({ max_imbalance: 1.1, equal_counts: true }))).toBe(
      'LocalityDispatchAlg(max_imbalance=1.1, equal_counts=true)',
    )
  })

  it.each([
    [{ max_imbalance: 0.5 }, 'max_imbalance: expected a finite number >= 1, got 0.5'],
    [{ max_imbalance: '1.1' }, 'max_imbalance: expected a finite number >= 1, got "1.1"'],
    [{ equal_counts: 1 }, 'equal_counts: expected a boolean, got 1'],
    [1.02, 'options: expected one object { max_imbalance, equal_counts }, got 1.02'],
  ])('refuses %o', (options, message) => {
    expect(() => new LocalityDispatchAlg(options as never)).toThrow(message)
  })
})
