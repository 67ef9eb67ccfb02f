import { UnsupportedError } from '@magi-attention/common'
import type { DispatchData } from '../dispatch-data.js'
import { BucketHeap } from './bucket-heap.js'
import { emptyPartitions, heaviestFirst, maxWorkload, totalWorkload } from './job-order.js'

/** Steps that a search may take, some seconds. Counted, not timed, so that all ranks decide alike. */
const MAX_STEPS = 2 ** 23

/** Counts the steps of a search that may take exponential time. */
export class StepBudget {
  private left = MAX_STEPS

  /** Whether there was a step left to take. */
  take(): boolean {
    return this.left-- > 0
  }
}

/** The error for jobs that an exact algorithm cannot solve in reasonable time. */
export function tooManySteps(alg: string, num_jobs: number): UnsupportedError {
  return new UnsupportedError({
    argument: 'jobs',
    expected: `jobs that ${alg} can solve within ${MAX_STEPS} steps`,
    actual: `${num_jobs} jobs`,
    hint: 'Use fewer jobs, that is a larger chunk_size, or MinHeapDispatchAlg.',
  })
}

/** The smallest limit for which `isFeasible` holds, which must be so for `high`. */
export function smallestLimit(
  data: DispatchData,
  high: number,
  isFeasible: (limit: number) => boolean,
): number {
  let low = Math.max(maxWorkload(data.jobs), Math.ceil(totalWorkload(data.jobs) / data.num_buckets))
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    if (isFeasible(middle)) high = middle
    else low = middle + 1
  }
  return low
}

/** Each job to the lightest bucket, heaviest first: a way to begin with, and the limit that it keeps. */
export function packGreedily({ jobs, num_buckets }: DispatchData): { limit: number; partitions: number[][] } {
  const partitions = emptyPartitions(num_buckets)
  const heap = BucketHeap.withAll(num_buckets)
  let limit = 0
  for (const job of heaviestFirst(jobs)) {
    const { load, index } = heap.pop()!
    const together = load + jobs[job]!.workload
    limit = Math.max(limit, together)
    partitions[index]!.push(job)
    heap.push({ load: together, index })
  }
  return { limit, partitions }
}
