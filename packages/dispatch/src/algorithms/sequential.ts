import { ArgumentError } from '@magi-attention/common'
import type { DispatchData } from '../dispatch-data.js'
import { DispatchAlg, type DispatchSolution } from './dispatch-alg.js'
import { minimaxWorkload } from './job-order.js'

/** Jobs in their order, cut into equal runs; the first runs get one job more when it does not divide. */
export class SequentialDispatchAlg extends DispatchAlg {
  readonly is_optimal = false
  readonly is_partitions_returned = true
  readonly is_equal_num_workloads = false
  readonly is_affinity_considered = false

  /** @throws `ArgumentError` for fewer jobs than buckets */
  solve({ jobs, num_buckets }: DispatchData): DispatchSolution {
    if (jobs.length < num_buckets) {
      throw new ArgumentError({
        argument: 'jobs',
        expected: `at least ${num_buckets} jobs, one for each bucket`,
        actual: jobs.length,
      })
    }
    const size = Math.floor(jobs.length / num_buckets)
    const num_longer = jobs.length % num_buckets
    const partitions = Array.from({ length: num_buckets }, (_, bucket) => {
      const start = bucket * size + Math.min(bucket, num_longer)
      return Array.from({ length: bucket < num_longer ? size + 1 : size }, (_, i) => start + i)
    })
    return { minimax_workload: minimaxWorkload(jobs, partitions), bucket_partitions: partitions }
  }

  toString(): string {
    return 'SequentialDispatchAlg()'
  }
}
