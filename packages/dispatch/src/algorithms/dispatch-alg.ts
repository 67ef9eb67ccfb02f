import type { AffinityKind } from '../affinity/affinity.js'
import type { DispatchData } from '../dispatch-data.js'

/** Which jobs each bucket gets. */
export interface DispatchSolution {
  /** Load of the fullest bucket. */
  readonly minimax_workload: number
  /**
   * Job indices of each bucket, `[num_buckets]` lists, in the order of their assignment. Empty when the
   * algorithm does not return partitions.
   */
  readonly bucket_partitions: readonly (readonly number[])[]
}

/**
 * A way to spread jobs over buckets so that the fullest bucket is as light as possible.
 *
 * An algorithm is immutable and a pure function of its data: all ranks find the same solution.
 * `toString()` names the algorithm with its parameters, and equal texts mean equal algorithms.
 */
export abstract class DispatchAlg {
  /** Whether no solution has a lighter fullest bucket. */
  abstract readonly is_optimal: boolean
  /** Whether solutions have partitions; otherwise they are a number only. */
  abstract readonly is_partitions_returned: boolean
  /** Whether each bucket gets equally many jobs. Such algorithms need a number of jobs that divides. */
  abstract readonly is_equal_num_workloads: boolean
  /** Whether the algorithm brings jobs together by their affinities. */
  abstract readonly is_affinity_considered: boolean

  /** The affinity that each job must have. Default: none. */
  readonly affinityKind: AffinityKind | undefined = undefined

  /** Called by `DispatchSolver`, which has checked the data. Must not change them. */
  abstract solve(data: DispatchData): DispatchSolution

  abstract toString(): string
}
