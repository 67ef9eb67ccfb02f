import { ArgumentError, type Band, ShapeError } from '@magi-attention/common'
import type { Affinity } from './affinity/affinity.js'
import { requireInteger } from './validate.js'

/** One thing to be put into a bucket: here, a chunk of the sequence. */
export class DispatchJob {
  readonly job_id: number
  /** An integer `>= 0`: here, the number of attended cells in the rows of the chunk. */
  readonly workload: number
  readonly affinity: Affinity | undefined

  /** @throws `ArgumentError` unless `job_id` and `workload` are integers `>= 0` */
  constructor(job_id: number, workload: number, affinity?: Affinity) {
    this.job_id = requireInteger(job_id, 'job_id')
    this.workload = requireInteger(workload, 'workload')
    this.affinity = affinity
  }

  /**
   * One job for each workload, numbered from 0.
   * @param workloads - integers `>= 0`, `[num_jobs]`
   * @param affinities - one for each job, `[num_jobs]`; default: none
   * @throws `ArgumentError` naming `workloads[i]`
   * @throws `ShapeError` for another number of affinities
   */
  static from_job_list(workloads: ArrayLike<number>, affinities?: readonly Affinity[]): DispatchJob[] {
    if (affinities !== undefined && affinities.length !== workloads.length) {
      throw new ShapeError({
        argument: 'affinities',
        expected: `${workloads.length} affinities, one for each workload`,
        actual: affinities.length,
      })
    }
    return Array.from(
      workloads,
      (workload, i) => new DispatchJob(i, requireInteger(workload, `workloads[${i}]`), affinities?.[i]),
    )
  }
}

/**
 * The mask that jobs were made from: job `i` is the rows `[i * chunk_size, (i + 1) * chunk_size)`, cut to the
 * sequence. For algorithms that need more than workloads.
 */
export interface ChunkedMask {
  /** The mask is the union of these bands. */
  readonly bands: readonly Band[]
  /** Number of query and of key tokens. */
  readonly total_seqlen: number
  readonly chunk_size: number
}

export interface DispatchDataOptions {
  readonly jobs: readonly DispatchJob[]
  readonly num_buckets: number
  /** Size of each sample that a `SampleIDAffinity` names, `[num_samples]`. */
  readonly sample_areas?: readonly number[] | undefined
  readonly mask?: ChunkedMask | undefined
}

/** What a dispatch algorithm is given. */
export class DispatchData {
  readonly jobs: readonly DispatchJob[]
  readonly num_buckets: number
  readonly sample_areas: readonly number[] | undefined
  readonly mask: ChunkedMask | undefined

  /** @throws `ArgumentError` without jobs, or unless `num_buckets` is an integer `>= 1` */
  constructor({ jobs, num_buckets, sample_areas, mask }: DispatchDataOptions) {
    if (!Array.isArray(jobs) || jobs.length === 0) {
      throw new ArgumentError({
        argument: 'jobs',
        expected: 'at least one job',
        actual: jobs,
        hint: 'Make them with DispatchJob.from_job_list(workloads).',
      })
    }
    this.jobs = jobs
    this.num_buckets = requireInteger(num_buckets, 'num_buckets', 1)
    this.sample_areas = sample_areas?.map((area, i) => requireInteger(area, `sample_areas[${i}]`))
    this.mask = mask
  }
}
