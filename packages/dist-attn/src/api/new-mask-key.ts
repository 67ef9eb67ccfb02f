import {
  ArgumentError,
  apply_padding,
  type GeneralAttnMaskType,
  type RangesLike,
} from '@magi-attention/common'
import { type KeysOf, requireOptions } from '../check.js'
import { DistAttnConfig } from '../dist-attn-config.js'
import { readSwitches } from '../env.js'
import { dist_attn_runtime_dict_mgr, findRuntime } from '../runtime/runtime-dict.js'
import { DistAttnRuntimeKey } from '../runtime/runtime-key.js'
import { DistAttnRuntimeMgr } from '../runtime/runtime-manager.js'
import type { CuSeqlens } from './key-options.js'
import { parseHeads } from './sizes.js'
import { varlenMask } from './varlen-key.js'

/** What both ways to change the mask take. */
export interface NewMaskOptions {
  /** The key by which the tensors were dispatched. */
  readonly key_for_dispatch: DistAttnRuntimeKey
  /** Its overlap_config counts; the dispatch stays. Default: that of `key_for_dispatch`. */
  readonly dist_attn_config?: DistAttnConfig | null | undefined
}

export interface NewFlexMaskOptions extends NewMaskOptions {
  /** Query ranges of the slices, within the sequence without padding. */
  readonly q_ranges: RangesLike
  /** Key ranges of the slices, within the sequence without padding. */
  readonly k_ranges: RangesLike
  /** One mask type for all slices, or one for each; names or codes. */
  readonly attn_mask_type: GeneralAttnMaskType | number | readonly (string | number)[]
  /** Default: that of `key_for_dispatch`. */
  readonly num_heads_q?: number | null | undefined
  /** Default: that of `key_for_dispatch`. */
  readonly num_heads_kv?: number | null | undefined
  /** Default: that of `key_for_dispatch`. */
  readonly head_dim?: number | null | undefined
}

export interface NewVarlenMaskOptions extends NewMaskOptions {
  /** Sums of the query lengths of the samples, from 0 to the number of tokens without padding. */
  readonly cu_seqlens_q: CuSeqlens
  /** Sums of the key lengths of the samples. */
  readonly cu_seqlens_k: CuSeqlens
  /** Causal samples instead of full ones. Default false; not together with a window. */
  readonly causal?: boolean | undefined
  /** Keys to the left and to the right that a query sees, -1 for all. Default `[-1, -1]`. */
  readonly window_size?: readonly [left: number, right: number] | undefined
}

const flexKeys: KeysOf<NewFlexMaskOptions> = {
  q_ranges: true,
  k_ranges: true,
  attn_mask_type: true,
  key_for_dispatch: true,
  num_heads_q: true,
  num_heads_kv: true,
  head_dim: true,
  dist_attn_config: true,
}

const varlenKeys: KeysOf<NewVarlenMaskOptions> = {
  cu_seqlens_q: true,
  cu_seqlens_k: true,
  key_for_dispatch: true,
  causal: true,
  window_size: true,
  dist_attn_config: true,
}

/**
 * A key for another mask over tensors that are dispatched already, as in layers that differ in their masks. Tokens stay
 * where they are, so the work is balanced for the first mask only.
 *
 * @throws ArgumentError for a `key_for_dispatch` that is not remembered; else as `magi_attn_flex_key`
 */
export function make_flex_key_for_new_mask_after_dispatch(options: NewFlexMaskOptions): DistAttnRuntimeKey {
  requireOptions('make_flex_key_for_new_mask_after_dispatch', options, flexKeys)
  const { key_for_dispatch, dist_attn_config } = options
  const { dispatch_meta_q, dispatch_meta_k, key: old } = findRuntime(key_for_dispatch)
  const config = dist_attn_config ?? old.dist_attn_config
  if (!(config instanceof DistAttnConfig)) {
    throw new ArgumentError({ argument: 'dist_attn_config', expected: 'a DistAttnConfig', actual: config })
  }
  const { dispatch_config } = old.dist_attn_config
  const total_seqlen = old.total_seqlen_q - old.pad_size
  const [q_ranges, k_ranges, attn_mask_type] = apply_padding({
    q_ranges: options.q_ranges,
    k_ranges: options.k_ranges,
    attn_mask_type: options.attn_mask_type as string[],
    total_seqlen_q: total_seqlen,
    total_seqlen_k: total_seqlen,
    pad_size: old.pad_size,
  })
  const key = new DistAttnRuntimeKey({
    q_ranges,
    k_ranges,
    attn_mask_type,
    total_seqlen: old.total_seqlen_q,
    heads: parseHeads({
      num_heads_q: options.num_heads_q ?? old.num_heads_q,
      num_heads_kv: options.num_heads_kv ?? old.num_heads_kv,
      head_dim: options.head_dim ?? old.head_dim,
    }),
    pad_size: old.pad_size,
    chunk_size: old.chunk_size,
    cp_group: old.cp_group,
    cp_mesh: old.cp_mesh,
    dist_attn_config: new DistAttnConfig({
      dispatch_config,
      overlap_config: config.overlap_config,
      grpcoll_config: config.grpcoll_config,
    }),
    uneven_shard: old.uneven_shard,
    switches: { ...readSwitches(), hierarchicalComm: old.hierarchical_comm },
    key_for_dispatch: old.key_for_dispatch ?? old,
  })
  if (dist_attn_runtime_dict_mgr.get(key) === undefined) {
    dist_attn_runtime_dict_mgr.set(key, new DistAttnRuntimeMgr(key, [dispatch_meta_q, dispatch_meta_k]))
  }
  return key
}

/**
 * The same for a packed batch.
 *
 * @throws ArgumentError for sums that do not end at the number of tokens; else as
 * `make_flex_key_for_new_mask_after_dispatch`
 */
export function make_varlen_key_for_new_mask_after_dispatch(
  options: NewVarlenMaskOptions,
): DistAttnRuntimeKey {
  requireOptions('make_varlen_key_for_new_mask_after_dispatch', options, varlenKeys)
  const { key_for_dispatch, dist_attn_config } = options
  const [q_ranges, k_ranges, attn_mask_type, ...totals] = varlenMask(options)
  const { total_seqlen_q, pad_size } = findRuntime(key_for_dispatch).key
  const total_seqlen = total_seqlen_q - pad_size
  totals.forEach((total, i) => {
    if (total === total_seqlen) return
    throw new ArgumentError({
      argument: i === 0 ? 'cu_seqlens_q' : 'cu_seqlens_k',
      expected: `sums that end at ${total_seqlen}, the tokens of key_for_dispatch`,
      actual: total,
    })
  })
  return make_flex_key_for_new_mask_after_dispatch({
    q_ranges,
    k_ranges,
    attn_mask_type,
    key_for_dispatch,
    dist_attn_config,
  })
}
