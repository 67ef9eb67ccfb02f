import type { DispatchData } from '../dispatch-data.js'
import { requireInteger, requireOptions } from '../validate.js'
import { DispatchAlg, type DispatchSolution } from './dispatch-alg.js'
import { minimaxWorkload } from './job-order.js'

/** Shuffled jobs, cut into equal parts. The seed alone decides, so all ranks shuffle alike. */
export class RandomSelectDispatchAlg extends DispatchAlg {
  readonly is_optimal = false
  readonly is_partitions_returned = true
  readonly is_equal_num_workloads = true
  readonly is_affinity_considered = false
  readonly seed: number

  /**
   * @param options - `seed`: an integer `>= 0`, of which the low 32 bits count; default 0
   * @throws `ArgumentError` for another seed
   */
  constructor(options: { readonly seed?: number | undefined } = {}) {
    super()
    requireOptions(options, 'options', 'one object { seed }')
    this.seed = requireInteger(options.seed ?? 0, 'seed')
  }

  solve({ jobs, num_buckets }: DispatchData): DispatchSolution {
    const order = jobs.map((_, i) => i)
    const random = mulberry32(this.seed)
    // Fisher and Yates, from the end.
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1))
      ;[order[i], order[j]] = [order[j]!, order[i]!]
    }
    const size = jobs.length / num_buckets
    const partitions = Array.from({ length: num_buckets }, (_, b) => order.slice(b * size, (b + 1) * size))
    return { minimax_workload: minimaxWorkload(jobs, partitions), bucket_partitions: partitions }
  }

  toString(): string {
    return `RandomSelectDispatchAlg(seed=${this.seed})`
  }
}

/** Tommy Ettinger's generator Mulberry32: numbers in `[0, 1)`, the same on every machine. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
