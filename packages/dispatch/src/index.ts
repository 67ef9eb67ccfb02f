export { perm_idxs2unperm_idxs } from '@magi-attention/common'
export { Affinity, type AffinityKind } from './affinity/affinity.js'
export { IOUAffinity } from './affinity/iou-affinity.js'
export { SampleIDAffinity } from './affinity/sample-id-affinity.js'
export { BTPDispatchAlg } from './algorithms/backtrack-pruning.js'
export {
  BatchToppHeapDispatchAlg,
  type BatchToppHeapOptions,
  type ToppHeapOptions,
} from './algorithms/batch-topp-heap.js'
export { BSDispatchAlg } from './algorithms/binary-search.js'
export { DispatchAlg, type DispatchSolution } from './algorithms/dispatch-alg.js'
export { DPDispatchAlg } from './algorithms/dynamic-programming.js'
export { LBDispatchAlg } from './algorithms/lower-bound.js'
export { MinHeapDispatchAlg } from './algorithms/min-heap.js'
export { RandomSelectDispatchAlg } from './algorithms/random-select.js'
export { SequentialDispatchAlg } from './algorithms/sequential.js'
export { SortedSequentialSelectAlg } from './algorithms/sorted-sequential-select.js'
export { ToppHeapDispatchAlg } from './algorithms/topp-heap.js'
export { type ChunkAreasOptions, chunkAreas } from './chunks/chunk-areas.js'
export { chunkActualSizes } from './chunks/chunk-sizes.js'
export {
  type BucketPerRankOptions,
  type GlobalBucketOptions,
  make_bucket_per_rank_from_qk_ranges,
  make_global_bucket_from_qk_ranges,
} from './chunks/global-bucket.js'
export type { SlicesOptions } from './chunks/mask-slices.js'
export * from './comm-plan/index.js'
export { DispatchConfig, type DispatchConfigOptions } from './dispatch-config.js'
export { type ChunkedMask, DispatchData, type DispatchDataOptions, DispatchJob } from './dispatch-data.js'
export { AttnRole, AttnType, DispatchMeta, type DispatchPlan } from './dispatch-meta.js'
export { DispatchSolver } from './dispatch-solver.js'
export * from './dist-attn-solver/index.js'
export * from './dynamic/index.js'
export * from './locality/index.js'
export { type DispatchMetaOptions, make_dispatch_meta_from_qk_ranges } from './make-dispatch-meta.js'
export * from './meta/index.js'
export * from './overlap/index.js'
export * from './simulate/index.js'
