import { IndexError } from '@magi-attention/common'
import type { SampleIDAffinity } from '../affinity/sample-id-affinity.js'
import type { DispatchData } from '../dispatch-data.js'
import { requireOptions } from '../validate.js'
import { requireFraction } from './batch-topp-heap.js'
import { BucketHeap } from './bucket-heap.js'
import { DispatchAlg, type DispatchSolution } from './dispatch-alg.js'
import { emptyPartitions, largest } from './job-order.js'

/**
 * Sample by sample, the largest first: the jobs of a sample, the last one first, go to the lightest bucket.
 * The next bucket is chosen when one is full, and after each `allocation_ratio` of the sample's jobs. All
 * buckets get equally many jobs.
 */
export class SortedSequentialSelectAlg extends DispatchAlg {
  readonly is_optimal = false
  readonly is_partitions_returned = true
  readonly is_equal_num_workloads = true
  readonly is_affinity_considered = false
  override readonly affinityKind = 'sample_id'
  readonly allocation_ratio: number

  /**
   * @param options - `allocation_ratio`: in `[0, 1]`, default 1
   * @throws `ArgumentError` unless `allocation_ratio` is a number in `[0, 1]`
   */
  constructor(options: { readonly allocation_ratio?: number | undefined } = {}) {
    super()
    requireOptions(options, 'options', 'one object { allocation_ratio }')
    this.allocation_ratio = requireFraction(options.allocation_ratio ?? 1, 'allocation_ratio')
  }

  /** @throws `IndexError` for a sample without an area */
  solve({ jobs, num_buckets, sample_areas = [] }: DispatchData): DispatchSolution {
    const capacity = jobs.length / num_buckets
    const samples = jobsOfSamples(
      jobs.map(job => job.affinity as SampleIDAffinity),
      sample_areas,
    )
    const partitions = emptyPartitions(num_buckets)
    const loads = new Array<number>(num_buckets).fill(0)
    const taken = new Array<boolean>(jobs.length).fill(false)
    const heap = BucketHeap.withAll(num_buckets)
    const assign = (job: number, bucket: number): void => {
      partitions[bucket]!.push(job)
      loads[bucket]! += jobs[job]!.workload
      taken[job] = true
    }

    const bySize = samples.map((_, i) => i).sort((a, b) => sample_areas[b]! - sample_areas[a]!)
    for (const sample of bySize) {
      const all = samples[sample]!
      const run =
        this.allocation_ratio < 1 ? Math.max(1, Math.ceil(this.allocation_ratio * all.length)) : all.length
      const open = all.filter(job => !taken[job]).reverse()
      for (let next = 0; next < open.length; ) {
        // There is room for all jobs, so while one is left a bucket is not full.
        const { index } = heap.pop()!
        const count = Math.min(run, capacity - partitions[index]!.length)
        for (const job of open.slice(next, next + count)) assign(job, index)
        next += count
        if (partitions[index]!.length < capacity) heap.push({ load: loads[index]!, index })
      }
    }
    let bucket = 0
    for (const job of jobs.keys()) {
      if (taken[job]) continue
      while (partitions[bucket]!.length === capacity) bucket++
      assign(job, bucket)
    }
    return { minimax_workload: largest(loads), bucket_partitions: partitions }
  }

  toString(): string {
    return `SortedSequentialSelectAlg(allocation_ratio=${this.allocation_ratio})`
  }
}

/** The jobs that have a part in each sample, ascending. */
function jobsOfSamples(affinities: readonly SampleIDAffinity[], sample_areas: readonly number[]): number[][] {
  const samples = sample_areas.map((): number[] => [])
  for (const [job, { sample_ids }] of affinities.entries()) {
    for (const id of sample_ids) {
      const sample = samples[id]
      if (sample === undefined) {
        throw new IndexError({
          argument: `jobs[${job}].affinity`,
          expected: `sample ids below ${samples.length}, the number of sample_areas`,
          actual: id,
        })
      }
      sample.push(job)
    }
  }
  return samples
}
