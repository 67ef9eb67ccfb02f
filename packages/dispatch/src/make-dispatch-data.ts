import { type AttnBucket, sliceArea, type TypedSlice } from '@magi-attention/common'
import type { Affinity, AffinityKind } from './affinity/affinity.js'
import { IOUAffinity } from './affinity/iou-affinity.js'
import { SampleIDAffinity } from './affinity/sample-id-affinity.js'
import type { DispatchAlg } from './algorithms/dispatch-alg.js'
import { chunkAreas } from './chunks/chunk-areas.js'
import { globalBucket } from './chunks/global-bucket.js'
import { slicesToBands } from './chunks/mask-slices.js'
import { DispatchData, DispatchJob } from './dispatch-data.js'

export interface MakeDispatchDataOptions {
  /** Sorted by query; all within the sequence. */
  readonly slices: readonly TypedSlice[]
  readonly total_seqlen: number
  readonly chunk_size: number
  readonly cp_size: number
  readonly alg: DispatchAlg
}

/** The chunks of a mask as jobs, with what the algorithm needs to know about them. */
export function makeDispatchData(options: MakeDispatchDataOptions): DispatchData {
  const { slices, total_seqlen, chunk_size, cp_size, alg } = options
  const bands = slicesToBands(slices)
  const workloads = chunkAreas({ bands, total_seqlen, chunk_size })
  // Parts of slices take memory for each chunk, so they are made for the algorithms only that look at them.
  const { affinityKind } = alg
  const affinities =
    affinityKind && chunkAffinities(globalBucket(slices, chunk_size, total_seqlen), affinityKind)
  return new DispatchData({
    jobs: DispatchJob.from_job_list(workloads, affinities),
    num_buckets: cp_size,
    sample_areas: affinityKind === 'sample_id' ? slices.map(areaOf) : undefined,
    mask: { bands, total_seqlen, chunk_size },
  })
}

function chunkAffinities({ q_chunks }: AttnBucket, kind: AffinityKind): Affinity[] {
  return q_chunks.map(({ k_ranges, sample_ids }) =>
    kind === 'iou' ? IOUAffinity.from_ranges(k_ranges) : SampleIDAffinity.from_list(sample_ids),
  )
}

function areaOf({ q_range, k_range, mask_type }: TypedSlice): number {
  return sliceArea(q_range, k_range, mask_type)
}
