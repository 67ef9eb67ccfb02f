export * from './area.js'
export type { MaskSlices } from './attn-mask/parse-slices.js'
export { AttnMask } from './attn-mask.js'
export * from './attn-mask-type.js'
export { AttnRange, type NaiveRange, type RangeLike } from './attn-range.js'
export { AttnRanges, type RangesLike } from './attn-ranges.js'
export * from './attn-rectangle.js'
export * from './attn-rectangles.js'
export * from './cu-seqlens.js'
export { DenseMask, make_attn_mask_from_ffa_args, make_slice_mask_from_ffa_attn_type } from './dense-mask.js'
export * from './double-cover.js'
export * from './draw/index.js'
export * from './errors/index.js'
export * from './infer/index.js'
export { perm_idxs2unperm_idxs } from './perm-idxs.js'
export * from './planning/index.js'
export {
  type Band,
  bandToSlices,
  intersectBands,
  sliceToBand,
  type TypedSlice,
  tightenBand,
} from './rectangle-slices.js'
