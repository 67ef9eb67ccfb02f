import { InternalError } from '@magi-attention/common'
import type { DispatchData } from '../dispatch-data.js'
import { DispatchAlg, type DispatchSolution } from './dispatch-alg.js'
import { emptyPartitions, heaviestFirst } from './job-order.js'
import { packGreedily, StepBudget, smallestLimit, tooManySteps } from './limit-search.js'

/**
 * The lightest possible fullest bucket: a binary search for the smallest limit that backtracking can keep.
 * Exponential in the worst case; gives up, the same on all ranks, when that would take too long.
 */
export class BSDispatchAlg extends DispatchAlg {
  readonly is_optimal = true
  readonly is_partitions_returned = true
  readonly is_equal_num_workloads = false
  readonly is_affinity_considered = false

  /** @throws `UnsupportedError` for jobs that take too many steps */
  solve(data: DispatchData): DispatchSolution {
    const { jobs, num_buckets } = data
    const order = heaviestFirst(jobs)
    const workloads = order.map(job => jobs[job]!.workload)
    const pack = (limit: number) => packWithin(workloads, num_buckets, limit)
    const greedy = packGreedily(data)
    const limit = smallestLimit(data, greedy.limit, probe => {
      const packing = pack(probe)
      if (packing === 'too many steps') throw tooManySteps(`${this}`, jobs.length)
      return packing !== 'infeasible'
    })
    const packing = pack(limit)
    if (typeof packing === 'string') {
      // The search found no way by itself to keep the limit, but there is the one to begin with.
      if (limit !== greedy.limit) throw new InternalError('a limit that was kept before cannot be kept')
      return { minimax_workload: limit, bucket_partitions: greedy.partitions }
    }
    const partitions = emptyPartitions(num_buckets)
    for (const [i, bucket] of packing.entries()) partitions[bucket]!.push(order[i]!)
    return { minimax_workload: limit, bucket_partitions: partitions }
  }

  toString(): string {
    return 'BSDispatchAlg()'
  }
}

type Packing = number[] | 'infeasible' | 'too many steps'

/** The bucket of each workload, so that no bucket exceeds the limit. */
function packWithin(workloads: readonly number[], num_buckets: number, limit: number): Packing {
  const budget = new StepBudget()
  const loads = new Array<number>(num_buckets).fill(0)
  const chosen: number[] = []
  let next = 0
  while (chosen.length < workloads.length) {
    if (!budget.take()) return 'too many steps'
    const workload = workloads[chosen.length]!
    const bucket = nextBucket(loads, workload, limit, next)
    if (bucket !== undefined) {
      loads[bucket]! += workload
      chosen.push(bucket)
      next = 0
      continue
    }
    const last = chosen.pop()
    if (last === undefined) return 'infeasible'
    const undone = workloads[chosen.length]!
    loads[last]! -= undone
    // Further buckets are no better than an empty one, nor than one that this workload fills up.
    const isHopeless = loads[last] === 0 || loads[last]! + undone === limit
    next = isHopeless ? num_buckets : last + 1
  }
  return chosen
}

/** The first bucket from `start` on with room, unless one with the same load was tried before. */
function nextBucket(
  loads: readonly number[],
  workload: number,
  limit: number,
  start: number,
): number | undefined {
  for (let bucket = start; bucket < loads.length; bucket++) {
    if (loads[bucket]! + workload <= limit && loads.indexOf(loads[bucket]!) === bucket) return bucket
  }
  return undefined
}
