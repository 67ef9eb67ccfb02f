import type { DispatchData } from '../dispatch-data.js'
import { DispatchAlg, type DispatchSolution } from './dispatch-alg.js'
import { totalWorkload } from './job-order.js'

/** The mean load of all buckets: a lower bound, which need not be reachable. Returns no partitions. */
export class LBDispatchAlg extends DispatchAlg {
  readonly is_optimal = false
  readonly is_partitions_returned = false
  readonly is_equal_num_workloads = false
  readonly is_affinity_considered = false

  solve({ jobs, num_buckets }: DispatchData): DispatchSolution {
    return { minimax_workload: totalWorkload(jobs) / num_buckets, bucket_partitions: [] }
  }

  toString(): string {
    return 'LBDispatchAlg()'
  }
}
