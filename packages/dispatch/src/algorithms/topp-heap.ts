import type { DispatchData } from '../dispatch-data.js'
import { requireOptions } from '../validate.js'
import { requireFraction, solveToppHeap, type ToppHeapOptions } from './batch-topp-heap.js'
import { DispatchAlg, type DispatchSolution } from './dispatch-alg.js'

/**
 * The heaviest job first: it goes to that one of the `ceil(top_p * num_buckets)` lightest buckets whose jobs
 * it shares most keys with. All buckets get equally many jobs.
 */
export class ToppHeapDispatchAlg extends DispatchAlg {
  readonly is_optimal = false
  readonly is_partitions_returned = true
  readonly is_equal_num_workloads = true
  readonly is_affinity_considered = true
  override readonly affinityKind = 'iou'
  readonly top_p: number

  /** @throws `ArgumentError` unless `top_p` is a number in `[0, 1]` */
  constructor(options: ToppHeapOptions = {}) {
    super()
    requireOptions(options, 'options', 'one object { top_p }')
    this.top_p = requireFraction(options.top_p ?? 0, 'top_p')
  }

  solve(data: DispatchData): DispatchSolution {
    return solveToppHeap(data, this.top_p, 1)
  }

  toString(): string {
    return `ToppHeapDispatchAlg(top_p=${this.top_p})`
  }
}
