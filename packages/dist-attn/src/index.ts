export { clear_cache, get_most_recent_key } from './api/cache.js'
export { type CalcAttnOptions, calc_attn } from './api/calc-attn.js'
export {
  type DispatchOptions,
  dispatch,
  get_position_ids,
  type RollOptions,
  roll,
  roll_simple,
  type UndispatchOptions,
  undispatch,
} from './api/data-movement.js'
export { magi_attn_flex_dispatch, magi_attn_flex_key } from './api/flex-key.js'
export type {
  CuSeqlens,
  MagiAttnFlexKeyOptions,
  MagiAttnKeyOptions,
  MagiAttnVarlenKeyOptions,
} from './api/key-options.js'
export {
  make_flex_key_for_new_mask_after_dispatch,
  make_varlen_key_for_new_mask_after_dispatch,
  type NewFlexMaskOptions,
  type NewMaskOptions,
  type NewVarlenMaskOptions,
} from './api/new-mask-key.js'
export { magi_attn_varlen_dispatch, magi_attn_varlen_key } from './api/varlen-key.js'
export { DistAttnConfig, type DistAttnConfigOptions } from './dist-attn-config.js'
export {
  dsink_all_reduce_op,
  type EnvironmentSwitch,
  environmentSwitches,
  type RuntimeSwitches,
  readSwitches,
} from './env.js'
export { DistAttnRuntimeDictManager, dist_attn_runtime_dict_mgr } from './runtime/runtime-dict.js'
export { type AttnHeads, DistAttnRuntimeKey } from './runtime/runtime-key.js'
export { type CalcAttnTensors, DistAttnRuntimeMgr } from './runtime/runtime-manager.js'
export type { XattnOptions } from './runtime/xattn-arg.js'
