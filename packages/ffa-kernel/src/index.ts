export type { AttnGrads } from './backward.js'
export { flex_flash_attn_func } from './flex-flash-attn-func.js'
export type { AttnForwardMeta } from './forward.js'
export { type MergedRanges, merge_ranges } from './merge-ranges.js'
export type {
  AttentionTensors,
  AttnTypeMapInput,
  FlexFlashAttnBackwardOptions,
  FlexFlashAttnForwardOptions,
  FlexFlashAttnOptions,
  IndexAttentionOptions,
  MaskOptions,
  PerformanceOptions,
  RangesInput,
  ScoreOptions,
} from './options/options.js'
export { clear_plan_cache, plan_cache_info } from './plan/index.js'
export { flex_flash_attn_backward, flex_flash_attn_forward } from './primitives.js'
export type { SinkLayout } from './reference/attention-problem.js'
