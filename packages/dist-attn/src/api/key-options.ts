import type { DeviceMesh, ProcessGroup } from '@magi-attention/comm'
import type { GeneralAttnMaskType, RangesLike } from '@magi-attention/common'
import type { KeysOf } from '../check.js'
import type { DistAttnConfig } from '../dist-attn-config.js'

/** What every way to make a key takes. */
export interface MagiAttnKeyOptions {
  /** Query heads. Default: any number, as `calc_attn` finds it; give all of the three or none. */
  readonly num_heads_q?: number | null | undefined
  /** Key/value heads, a divisor of `num_heads_q`. Default: as `num_heads_q`. */
  readonly num_heads_kv?: number | null | undefined
  /** Size of a head. Default: as `num_heads_q`. */
  readonly head_dim?: number | null | undefined
  /** The ranks that share the sequence. */
  readonly cp_group_or_mesh: ProcessGroup | DeviceMesh
  /** Tokens to append, such that every rank gets whole chunks. Default: as `compute_pad_size` says; 0 for uneven shards. */
  readonly pad_size?: number | null | undefined
  /**
   * Tokens in a chunk, the unit that ranks are given. Default: that of the `DispatchConfig`, else as large as leaves every
   * rank MAGI_ATTENTION_MIN_CHUNKS_PER_RANK, 8, of them.
   */
  readonly chunk_size?: number | null | undefined
  /** Default: `new DistAttnConfig()`. */
  readonly dist_attn_config?: DistAttnConfig | undefined
}

export interface MagiAttnFlexKeyOptions extends MagiAttnKeyOptions {
  /** Query ranges of the slices, within `[0, total_seqlen_q)`. */
  readonly q_ranges: RangesLike
  /** Key ranges of the slices, within `[0, total_seqlen_k)`. */
  readonly k_ranges: RangesLike
  /** One mask type for all slices, or one for each; names or codes. */
  readonly attn_mask_type: GeneralAttnMaskType | number | readonly (string | number)[]
  /** Number of tokens, without padding. */
  readonly total_seqlen_q: number
  /** The same as `total_seqlen_q`. */
  readonly total_seqlen_k: number
  /** Only true. */
  readonly is_same_source?: boolean | undefined
  /** Only true. */
  readonly is_q_permutable?: boolean | undefined
  /** Only true. */
  readonly is_k_permutable?: boolean | undefined
}

export interface MagiAttnVarlenKeyOptions extends MagiAttnKeyOptions {
  /** Sums of the query lengths of the samples, from 0: a list, an Int32Array or an integer tensor `[batch_size + 1]`. */
  readonly cu_seqlens_q: CuSeqlens
  /** Sums of the key lengths of the samples. */
  readonly cu_seqlens_k: CuSeqlens
  /** Causal samples instead of full ones. Default false; not together with a window. */
  readonly causal?: boolean | undefined
  /** Keys to the left and to the right that a query sees, -1 for all. Default `[-1, -1]`. */
  readonly window_size?: readonly [left: number, right: number] | undefined
}

export type CuSeqlens = readonly number[] | Int32Array | import('@magi-attention/tensor').Tensor

const sharedKeys: KeysOf<MagiAttnKeyOptions> = {
  num_heads_q: true,
  num_heads_kv: true,
  head_dim: true,
  cp_group_or_mesh: true,
  pad_size: true,
  chunk_size: true,
  dist_attn_config: true,
}

export const flexKeys: KeysOf<MagiAttnFlexKeyOptions> = {
  q_ranges: true,
  k_ranges: true,
  attn_mask_type: true,
  total_seqlen_q: true,
  total_seqlen_k: true,
  ...sharedKeys,
  is_same_source: true,
  is_q_permutable: true,
  is_k_permutable: true,
}

export const varlenKeys: KeysOf<MagiAttnVarlenKeyOptions> = {
  cu_seqlens_q: true,
  cu_seqlens_k: true,
  ...sharedKeys,
  causal: true,
  window_size: true,
}
