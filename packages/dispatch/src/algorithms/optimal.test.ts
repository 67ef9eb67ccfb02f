import { ArgumentError, UnsupportedError } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DispatchData, DispatchJob } from '../dispatch-data.js'
import { DispatchSolver } from '../dispatch-solver.js'
import { BTPDispatchAlg } from './backtrack-pruning.js'
import { BSDispatchAlg } from './binary-search.js'
import type { DispatchAlg } from './dispatch-alg.js'
import { DPDispatchAlg } from './dynamic-programming.js'
import { LBDispatchAlg } from './lower-bound.js'

function solve(alg: DispatchAlg, workloads: readonly number[], num_buckets: number) {
  const jobs = DispatchJob.from_job_list(workloads)
  return new DispatchSolver(alg).solve({ dispatch_data: new DispatchData({ jobs, num_buckets }) })
}

/** Load of the fullest bucket, over all ways to give jobs to buckets. */
function bruteForce(
  workloads: readonly number[],
  num_buckets: number,
  capacity = Number.POSITIVE_INFINITY,
): number {
  let best = Number.POSITIVE_INFINITY
  const loads = new Array<number>(num_buckets).fill(0)
  const counts = new Array<number>(num_buckets).fill(0)
  const place = (job: number): void => {
    if (job === workloads.length) {
      best = Math.min(best, Math.max(...loads))
      return
    }
    for (let b = 0; b < num_buckets; b++) {
      if (counts[b] === capacity) continue
      loads[b]! += workloads[job]!
      counts[b]!++
      place(job + 1)
      loads[b]! -= workloads[job]!
      counts[b]!--
    }
  }
  place(0)
  return best
}

function expectPartition(
  workloads: readonly number[],
  { minimax_workload, bucket_partitions }: ReturnType<typeof solve>,
) {
  expect(bucket_partitions.flat().toSorted((a, b) => a - b)).toEqual(workloads.map((_, i) => i))
  const loads = bucket_partitions.map(jobs => jobs.reduce((sum, job) => sum + workloads[job]!, 0))
  expect(Math.max(...loads)).toBe(minimax_workload)
}

const workloadLists = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 8 })
const bucketCounts = fc.integer({ min: 1, max: 4 })
const mixed = [2, 4, 3, 16, 13, 5, 9, 10]

describe('LBDispatchAlg', () => {
  it('is the mean load, without partitions', () => {
    expect(solve(new LBDispatchAlg(), mixed, 4)).toEqual({ minimax_workload: 15.5, bucket_partitions: [] })
  })
})

describe('DPDispatchAlg', () => {
  it('finds the optimum, without partitions', () => {
    expect(solve(new DPDispatchAlg(), mixed, 4)).toEqual({ minimax_workload: 16, bucket_partitions: [] })
    expect(solve(new DPDispatchAlg(), [5, 5, 4], 2).minimax_workload).toBe(9)
    expect(solve(new DPDispatchAlg(), [0, 0], 3).minimax_workload).toBe(0)
  })

  it('agrees with brute force', () => {
    fc.assert(
      fc.property(workloadLists, bucketCounts, (workloads, num_buckets) => {
        expect(solve(new DPDispatchAlg(), workloads, num_buckets).minimax_workload).toBe(
          bruteForce(workloads, num_buckets),
        )
      }),
    )
  })

  it('refuses more jobs than its tables can hold', () => {
    const workloads = new Array(21).fill(1)
    expect(() => solve(new DPDispatchAlg(), workloads, 2)).toThrow(UnsupportedError)
    expect(() => solve(new DPDispatchAlg(), workloads, 2)).toThrow(/Use BSDispatchAlg/)
  })
})

describe('BSDispatchAlg', () => {
  it('returns partitions of the final limit, also when the last probe failed', () => {
    const solution = solve(new BSDispatchAlg(), [5, 5, 4], 2)
    expect(solution).toEqual({ minimax_workload: 9, bucket_partitions: [[0, 2], [1]] })
  })

  it('tries buckets in their order, heaviest job first', () => {
    expect(solve(new BSDispatchAlg(), mixed, 4)).toEqual({
      minimax_workload: 16,
      bucket_partitions: [[3], [4, 2], [7, 5], [6, 1, 0]],
    })
  })

  it('agrees with brute force', () => {
    fc.assert(
      fc.property(workloadLists, bucketCounts, (workloads, num_buckets) => {
        const solution = solve(new BSDispatchAlg(), workloads, num_buckets)
        expect(solution.minimax_workload).toBe(bruteForce(workloads, num_buckets))
        expectPartition(workloads, solution)
      }),
    )
  })

  it('takes the greedy way when searching for another one as good would take forever', () => {
    const workloads = Array.from({ length: 512 }, (_, i) => 2 * i + 1)
    const solution = solve(new BSDispatchAlg(), workloads, 8)
    expect(solution.minimax_workload).toBe(512 ** 2 / 8)
    expectPartition(workloads, solution)
  })

  it('gives up when the optimum would take forever', () => {
    // Multiples of 1000 and a rest that cannot be made even: all of the search has to be done.
    const workloads = Array.from({ length: 60 }, (_, i) => 1000 * (20 + ((i * 7919) % 41)) + (i % 2))
    expect(() => solve(new BSDispatchAlg(), workloads, 7)).toThrow(/MinHeapDispatchAlg/)
  })
})

describe('BTPDispatchAlg', () => {
  it('finds the optimum of equally many jobs', () => {
    const solution = solve(new BTPDispatchAlg(), mixed, 4)
    expect(solution.minimax_workload).toBe(18)
    expectPartition(mixed, solution)
    // Without equal counts, [9] against [3, 3, 3] would do better.
    expect(solve(new BTPDispatchAlg(), [9, 3, 3, 3], 2).minimax_workload).toBe(12)
  })

  it('agrees with brute force', () => {
    fc.assert(
      fc.property(bucketCounts, fc.integer({ min: 1, max: 3 }), fc.gen(), (num_buckets, capacity, gen) => {
        const count = num_buckets * Math.min(capacity, Math.floor(8 / num_buckets))
        const workloads = Array.from({ length: count }, () => gen(fc.integer, { min: 0, max: 30 }))
        const solution = solve(new BTPDispatchAlg(), workloads, num_buckets)
        expect(solution.minimax_workload).toBe(bruteForce(workloads, num_buckets, count / num_buckets))
        expectPartition(workloads, solution)
        expect(new Set(solution.bucket_partitions.map(jobs => jobs.length)).size).toBe(1)
      }),
    )
  })

  it('needs a number of jobs that divides', () => {
    expect(() => solve(new BTPDispatchAlg(), [1, 2, 3], 2)).toThrow(ArgumentError)
    expect(() => solve(new BTPDispatchAlg(), [1, 2, 3], 2)).toThrow(/multiple of num_buckets 2/)
  })
})
