import type { DispatchData } from '../dispatch-data.js'
import { BucketHeap } from './bucket-heap.js'
import { DispatchAlg, type DispatchSolution } from './dispatch-alg.js'

/**
 * Longest processing time first (Graham, 1969): the heaviest job that is left goes to the lightest bucket
 * that has fewer than `ceil(num_jobs / num_buckets)` jobs. Of equal jobs the last comes first, of equally
 * light buckets the first is taken. O(n log n).
 */
export class MinHeapDispatchAlg extends DispatchAlg {
  readonly is_optimal = false
  readonly is_partitions_returned = true
  readonly is_equal_num_workloads = false
  readonly is_affinity_considered = false

  solve({ jobs, num_buckets }: DispatchData): DispatchSolution {
    const capacity = Math.ceil(jobs.length / num_buckets)
    const order = jobs.map((_, i) => i)
    order.sort((a, b) => jobs[b]!.workload - jobs[a]!.workload || b - a)

    const partitions = Array.from({ length: num_buckets }, (): number[] => [])
    const heap = BucketHeap.withAll(num_buckets)
    let minimax = 0
    for (const job of order) {
      const bucket = heap.pop()!
      const load = bucket.load + jobs[job]!.workload
      const partition = partitions[bucket.index]!
      partition.push(job)
      minimax = Math.max(minimax, load)
      if (partition.length < capacity) heap.push({ load, index: bucket.index })
    }
    return { minimax_workload: minimax, bucket_partitions: partitions }
  }

  toString(): string {
    return 'MinHeapDispatchAlg()'
  }
}
