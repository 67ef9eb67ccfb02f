import { ArgumentError } from '@magi-attention/common'
import { DispatchAlg, type DispatchSolution } from '../algorithms/dispatch-alg.js'
import type { DispatchData } from '../dispatch-data.js'
import { requireOptions } from '../validate.js'
import { assignChunks, DEFAULT_MAX_IMBALANCE, requireMaxImbalance } from './assign-chunks.js'
import { balancedStart } from './balanced-start.js'

export interface LocalityDispatchOptions {
  /** Largest over mean work of a rank that is accepted to receive less. Default 1.02. */
  readonly max_imbalance?: number | undefined
  /** Whether a number of chunks that does not divide by the ranks is refused. Default false. */
  readonly equal_counts?: boolean | undefined
}

/**
 * Balances the work and keeps what a rank needs near it: of the assignments whose ranks compute at most
 * `max_imbalance` times the mean, it looks for one in which they receive few rows of K and V. Ranks have
 * equally many chunks, or one less where these do not divide.
 *
 * Reads what chunks need from the mask in the data; jobs without a mask are balanced only.
 */
export class LocalityDispatchAlg extends DispatchAlg {
  readonly is_optimal = false
  readonly is_partitions_returned = true
  readonly is_equal_num_workloads: boolean
  readonly is_affinity_considered = false
  readonly max_imbalance: number

  /** @throws `ArgumentError` unless `max_imbalance` is a number `>= 1` and `equal_counts` a boolean */
  constructor(options: LocalityDispatchOptions = {}) {
    super()
    requireOptions(options, 'options', 'one object { max_imbalance, equal_counts }')
    const { max_imbalance = DEFAULT_MAX_IMBALANCE, equal_counts = false } = options
    this.max_imbalance = requireMaxImbalance(max_imbalance, 'max_imbalance')
    if (typeof equal_counts !== 'boolean') {
      throw new ArgumentError({ argument: 'equal_counts', expected: 'a boolean', actual: equal_counts })
    }
    this.is_equal_num_workloads = equal_counts
  }

  solve({ jobs, num_buckets: numRanks, mask }: DispatchData): DispatchSolution {
    const workloads = Float64Array.from(jobs, job => job.workload)
    const rankOfJob =
      mask === undefined
        ? balance(workloads, numRanks)
        : assignChunks({
            bands: mask.bands,
            totalTokens: mask.total_seqlen,
            chunkSize: mask.chunk_size,
            numRanks,
            workloads,
            maxImbalance: this.max_imbalance,
          })
    const partitions = Array.from({ length: numRanks }, (): number[] => [])
    const loads = new Float64Array(numRanks)
    workloads.forEach((workload, job) => {
      partitions[rankOfJob[job]!]!.push(job)
      loads[rankOfJob[job]!]! += workload
    })
    return {
      minimax_workload: loads.reduce((a, b) => Math.max(a, b)),
      bucket_partitions: partitions,
    }
  }

  toString(): string {
    const counts = this.is_equal_num_workloads ? ', equal_counts=true' : ''
    return `LocalityDispatchAlg(max_imbalance=${this.max_imbalance}${counts})`
  }
}

function balance(workloads: Float64Array, numRanks: number): Int32Array {
  const count = workloads.length
  const perRank = Math.ceil(count / numRanks)
  const weights = new Float64Array(numRanks * perRank)
  weights.set(workloads)
  return balancedStart({ count, numRanks, perRank, weights }).subarray(0, count)
}
