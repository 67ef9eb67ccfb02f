export {
  type InferAttnMaskFromCuSeqlensOptions,
  type InferredVarlenMask,
  infer_attn_mask_from_cu_seqlens,
} from './cu-seqlens-mask.js'
export { type ComputePadSizeOptions, compute_pad_size } from './pad-size.js'
export { type ApplyPaddingOptions, apply_padding } from './padding.js'
export type { InferredMask } from './slice-list.js'
export {
  type InferAttnMaskFromSlidingWindowOptions,
  infer_attn_mask_from_sliding_window,
} from './sliding-window.js'
export { type InferVarlenMaskFromBatchOptions, infer_varlen_mask_from_batch } from './varlen-batch.js'
