import type { DispatchData } from '../dispatch-data.js'
import { DispatchAlg, type DispatchSolution } from './dispatch-alg.js'
import { emptyPartitions, heaviestFirst, maxWorkload, totalWorkload } from './job-order.js'

import { StepBudget, tooManySteps } from './limit-search.js'

/**
 * The lightest possible fullest bucket when all buckets get equally many jobs, by branch and bound.
 * Exponential, for a few dozen jobs; gives up, the same on all ranks, when that would take too long.
 */
export class BTPDispatchAlg extends DispatchAlg {
  readonly is_optimal = true
  readonly is_partitions_returned = true
  readonly is_equal_num_workloads = true
  readonly is_affinity_considered = false

  /** @throws `UnsupportedError` for jobs that take too many steps */
  solve({ jobs, num_buckets }: DispatchData): DispatchSolution {
    const order = heaviestFirst(jobs)
    const capacity = jobs.length / num_buckets
    const bound = Math.max(maxWorkload(jobs), Math.ceil(totalWorkload(jobs) / num_buckets))
    const loads = new Array<number>(num_buckets).fill(0)
    const partitions = emptyPartitions(num_buckets)
    const budget = new StepBudget()
    let best = Number.POSITIVE_INFINITY
    let bestPartitions = partitions

    const place = (i: number, heaviest: number): void => {
      if (i === order.length) {
        best = heaviest
        bestPartitions = partitions.map(partition => [...partition])
        return
      }
      if (!budget.take()) throw tooManySteps(`${this}`, jobs.length)
      const job = order[i]!
      for (let bucket = 0; bucket < num_buckets; bucket++) {
        const partition = partitions[bucket]!
        const load = loads[bucket]! + jobs[job]!.workload
        if (partition.length === capacity || load >= best) continue
        const isFirst = partition.length === 0
        loads[bucket] = load
        partition.push(job)
        place(i + 1, Math.max(heaviest, load))
        partition.pop()
        loads[bucket]! -= jobs[job]!.workload
        // All empty buckets are alike, and nothing is below the bound.
        if (isFirst || best === bound) return
      }
    }
    place(0, 0)
    return { minimax_workload: best, bucket_partitions: bestPartitions }
  }

  toString(): string {
    return 'BTPDispatchAlg()'
  }
}
