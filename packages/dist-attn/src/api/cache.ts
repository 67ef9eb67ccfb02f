import type { ProcessGroup } from '@magi-attention/comm'
import { dist_attn_runtime_dict_mgr } from '../runtime/runtime-dict.js'
import type { DistAttnRuntimeKey } from '../runtime/runtime-key.js'

/**
 * The key of a group that was made or used last. Better pass keys on: with several masks this may be another one.
 * @throws ArgumentError without a group, and for a group without keys
 */
export function get_most_recent_key(cp_group: ProcessGroup): DistAttnRuntimeKey {
  return dist_attn_runtime_dict_mgr.get_most_recent_key(cp_group)
}

/** Forgets the keys of a group, or, without one, all keys: they cannot be used any more. */
export function clear_cache(cp_group?: ProcessGroup | null): void {
  dist_attn_runtime_dict_mgr.clear(cp_group)
}
