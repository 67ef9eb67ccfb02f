import type { AttnForwardMeta } from '@magi-attention/ffa-kernel'
import type { Tensor } from '@magi-attention/tensor'
import { type KeysOf, requireOptions } from '../check.js'
import { findRuntime } from '../runtime/runtime-dict.js'
import type { DistAttnRuntimeKey } from '../runtime/runtime-key.js'

export interface CalcAttnOptions {
  /** `[shard_seqlen, num_heads_q, head_dim]`, float32, bfloat16, float16 or float64. */
  readonly q: Tensor
  /** `[shard_seqlen, num_heads_kv, head_dim]`, dtype of q; num_heads_kv divides num_heads_q. */
  readonly k: Tensor
  /** Like k. */
  readonly v: Tensor
  readonly key: DistAttnRuntimeKey
  /** `[sink_tokens, num_heads_q]`, float32, the same on every rank: logits without values. Default: none. */
  readonly sink?: Tensor | null | undefined
  /** Factor of q·k. Default: `head_dim ** -0.5`. */
  readonly softmax_scale?: number | null | undefined
  /** Logits become `softcap * tanh(logit / softcap)`. Default 0: off. */
  readonly softcap?: number | undefined
  /** Also return the largest logit of every head, of all ranks. Default false. */
  readonly return_max_logits?: boolean | undefined
}

const calcAttnKeys: KeysOf<CalcAttnOptions> = {
  q: true,
  k: true,
  v: true,
  key: true,
  sink: true,
  softmax_scale: true,
  softcap: true,
  return_max_logits: true,
}

/**
 * Attention of this rank's queries over the keys of all ranks: what `flex_flash_attn_func` computes of the whole
 * sequence, up to rounding, with gradients for q, k, v and the sink. Only the keys that some query needs travel, while
 * attention over those that are there is computed. Every rank of the group must call it, and run backward if one does.
 *
 * The gradient of the sink is this rank's part, unless MAGI_ATTENTION_DSINK_ALL_REDUCE_OP says otherwise.
 *
 * @returns out `[shard_seqlen, num_heads_q, head_dim]` in the dtype of q, and meta with `lse`
 * `[shard_seqlen, num_heads_q]` and `max_logits` `[num_heads_q]` or null, float32 (float64 for float64)
 * @throws ShapeError, DTypeError, DeviceError, DisposedError and ArgumentError before anything is sent; CommError and its
 * kind
 */
export function calc_attn(options: CalcAttnOptions): [out: Tensor, meta: AttnForwardMeta] {
  requireOptions('calc_attn', options, calcAttnKeys)
  const { key, ...tensors } = options
  return findRuntime(key).calc_attn(tensors)
}
