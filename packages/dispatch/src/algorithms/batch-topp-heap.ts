import { ArgumentError } from '@magi-attention/common'
import type { DispatchData } from '../dispatch-data.js'
import { requireInteger, requireOptions } from '../validate.js'
import { BucketHeap, type LoadedBucket } from './bucket-heap.js'
import { DispatchAlg, type DispatchSolution } from './dispatch-alg.js'
import { emptyPartitions, heaviestFirst, largest } from './job-order.js'

export interface ToppHeapOptions {
  /**
   * Part of the buckets, the lightest ones, that a job may choose from, in `[0, 1]`. 0 balances best, 1 keeps
   * together what belongs together. Default 0.
   */
  readonly top_p?: number | undefined
}

export interface BatchToppHeapOptions extends ToppHeapOptions {
  /** Number of jobs that choose from the same buckets. Default 1. */
  readonly num_of_select_chunk?: number | undefined
}

/**
 * The heaviest jobs first, several at once: each goes to that one of the `ceil(top_p * num_buckets)` lightest
 * buckets whose jobs it shares most keys with. All buckets get equally many jobs.
 */
export class BatchToppHeapDispatchAlg extends DispatchAlg {
  readonly is_optimal = false
  readonly is_partitions_returned = true
  readonly is_equal_num_workloads = true
  readonly is_affinity_considered = true
  override readonly affinityKind = 'iou'
  readonly top_p: number
  readonly num_of_select_chunk: number

  /**
   * @throws `ArgumentError` unless `top_p` is a number in `[0, 1]` and `num_of_select_chunk` an integer
   *   `>= 1`
   */
  constructor(options: BatchToppHeapOptions = {}) {
    super()
    requireOptions(options, 'options', 'one object { top_p, num_of_select_chunk }')
    this.top_p = requireFraction(options.top_p ?? 0, 'top_p')
    this.num_of_select_chunk = requireInteger(options.num_of_select_chunk ?? 1, 'num_of_select_chunk', 1)
  }

  solve(data: DispatchData): DispatchSolution {
    return solveToppHeap(data, this.top_p, this.num_of_select_chunk)
  }

  toString(): string {
    return `BatchToppHeapDispatchAlg(top_p=${this.top_p}, num_of_select_chunk=${this.num_of_select_chunk})`
  }
}

/** @throws `ArgumentError` unless `value` is a number in `[0, 1]` */
export function requireFraction(value: unknown, argument: string): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value + 0 // turns -0 into 0
  throw new ArgumentError({ argument, expected: 'a number in [0, 1]', actual: value })
}

/** Jobs must have affinities, and their number must be a multiple of `num_buckets`. */
export function solveToppHeap(
  { jobs, num_buckets }: DispatchData,
  top_p: number,
  batch_size: number,
): DispatchSolution {
  const capacity = jobs.length / num_buckets
  const num_choices = Math.max(1, Math.ceil(num_buckets * top_p))
  const order = heaviestFirst(jobs)
  const partitions = emptyPartitions(num_buckets)
  const loads = new Array<number>(num_buckets).fill(0)
  const affinities = partitions.map(() => jobs[0]!.affinity!.emptied())
  const heap = BucketHeap.withAll(num_buckets)
  const room = (bucket: number): number => capacity - partitions[bucket]!.length

  for (let first = 0; first < order.length; first += batch_size) {
    const batch = order.slice(first, first + batch_size)
    const choices: number[] = []
    let free = 0
    while (choices.length < num_choices || free < batch.length) {
      const bucket: LoadedBucket | undefined = heap.pop()
      if (bucket === undefined) break
      choices.push(bucket.index)
      free += room(bucket.index)
    }
    for (const job of batch) {
      const open = choices.filter(bucket => room(bucket) > 0)
      const affinity = jobs[job]!.affinity!
      // The distance of a single choice does not matter, and it is expensive.
      const at =
        open.length === 1 ? 0 : affinity.get_closest_affinity_idx(open.map(bucket => affinities[bucket]!))
      const bucket = open[at]!
      partitions[bucket]!.push(job)
      loads[bucket]! += jobs[job]!.workload
      affinities[bucket]!.update(affinity)
    }
    for (const index of choices) if (room(index) > 0) heap.push({ load: loads[index]!, index })
  }
  return { minimax_workload: largest(loads), bucket_partitions: partitions }
}
