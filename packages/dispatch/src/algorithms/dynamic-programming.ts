import { UnsupportedError } from '@magi-attention/common'
import type { DispatchData } from '../dispatch-data.js'
import { DispatchAlg, type DispatchSolution } from './dispatch-alg.js'
import { packGreedily, smallestLimit } from './limit-search.js'

/** Beyond, the tables of all subsets get too large. */
const MAX_JOBS = 20

/**
 * The lightest possible fullest bucket, by dynamic programming over subsets of the jobs. Returns no
 * partitions. Takes O(2^n n) time for each limit that is tried, and O(2^n) memory: at most 20 jobs.
 */
export class DPDispatchAlg extends DispatchAlg {
  readonly is_optimal = true
  readonly is_partitions_returned = false
  readonly is_equal_num_workloads = false
  readonly is_affinity_considered = false

  /** @throws `UnsupportedError` for more than 20 jobs */
  solve(data: DispatchData): DispatchSolution {
    const { jobs, num_buckets } = data
    if (jobs.length > MAX_JOBS) {
      throw new UnsupportedError({
        argument: 'jobs',
        expected: `at most ${MAX_JOBS} jobs for DPDispatchAlg`,
        actual: jobs.length,
        hint: 'Use BSDispatchAlg, which is optimal, too.',
      })
    }
    const workloads = jobs.map(job => job.workload)
    const { limit: high } = packGreedily(data)
    const minimax = smallestLimit(data, high, limit => fewestBuckets(workloads, limit) <= num_buckets)
    return { minimax_workload: minimax, bucket_partitions: [] }
  }

  toString(): string {
    return 'DPDispatchAlg()'
  }
}

/**
 * Number of buckets of the given size that hold all jobs. No job may exceed the limit.
 *
 * Of each subset, the packing with the fewest buckets, and among those the one whose last bucket is lightest,
 * is as good as any other to put further jobs on top.
 */
function fewestBuckets(workloads: readonly number[], limit: number): number {
  const num_subsets = 2 ** workloads.length
  const buckets = new Uint8Array(num_subsets)
  const lastLoad = new Float64Array(num_subsets)
  buckets[0] = 1
  for (let subset = 1; subset < num_subsets; subset++) {
    let fewest = Number.POSITIVE_INFINITY
    let lightest = 0
    for (const [job, workload] of workloads.entries()) {
      if ((subset & (1 << job)) === 0) continue
      const rest = subset ^ (1 << job)
      const together = lastLoad[rest]! + workload
      const fits = together <= limit
      const count = fits ? buckets[rest]! : buckets[rest]! + 1
      const load = fits ? together : workload
      if (count > fewest || (count === fewest && load >= lightest)) continue
      fewest = count
      lightest = load
    }
    buckets[subset] = fewest
    lastLoad[subset] = lightest
  }
  return buckets[num_subsets - 1]!
}
