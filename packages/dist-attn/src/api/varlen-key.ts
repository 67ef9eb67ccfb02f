import { DTypeError, infer_attn_mask_from_cu_seqlens } from '@magi-attention/common'
import { Tensor } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import { requireOptions } from '../check.js'
import type { DistAttnRuntimeKey } from '../runtime/runtime-key.js'
import { dispatch } from './data-movement.js'
import { magi_attn_flex_key } from './flex-key.js'
import { type CuSeqlens, type MagiAttnVarlenKeyOptions, varlenKeys } from './key-options.js'

/**
 * `magi_attn_flex_key` for a packed batch: samples do not see each other.
 *
 * @throws ArgumentError for sums that do not begin at 0 or that decrease, and for a window beside `causal`; else as
 * `magi_attn_flex_key`
 */
export function magi_attn_varlen_key(options: MagiAttnVarlenKeyOptions): DistAttnRuntimeKey {
  requireOptions('magi_attn_varlen_key', options, varlenKeys)
  const { cu_seqlens_q, cu_seqlens_k, causal, window_size, ...shared } = options
  const [q_ranges, k_ranges, attn_mask_type, total_seqlen_q, total_seqlen_k] = varlenMask(options)
  return magi_attn_flex_key({ q_ranges, k_ranges, attn_mask_type, total_seqlen_q, total_seqlen_k, ...shared })
}

/**
 * Makes a key for a packed batch, and dispatches `x` by it.
 *
 * @param x `[total_seqlen, …]`, the same on every rank
 * @returns this rank's rows `[shard_seqlen, …]`, and the key
 * @throws as `magi_attn_varlen_key` and `dispatch`
 */
export function magi_attn_varlen_dispatch(
  x: Tensor,
  options: MagiAttnVarlenKeyOptions,
): [local_x: Tensor, key: DistAttnRuntimeKey] {
  const key = magi_attn_varlen_key(options)
  return [dispatch({ x, key }), key]
}

type VarlenMaskOptions = Pick<
  MagiAttnVarlenKeyOptions,
  'cu_seqlens_q' | 'cu_seqlens_k' | 'causal' | 'window_size'
>

export function varlenMask(options: VarlenMaskOptions): ReturnType<typeof infer_attn_mask_from_cu_seqlens> {
  return infer_attn_mask_from_cu_seqlens({
    cu_seqlens_q: readSums('cu_seqlens_q', options.cu_seqlens_q),
    cu_seqlens_k: readSums('cu_seqlens_k', options.cu_seqlens_k),
    causal: options.causal,
    window_size: options.window_size,
  })
}

function readSums(argument: string, value: CuSeqlens): readonly number[] | Int32Array {
  if (!(value instanceof Tensor)) return value
  const tensor = assertTensor(argument, value, { ndim: 1 })
  if (tensor.dtype === 'int32' || tensor.dtype === 'int64')
    return Array.from(tensor.tolist() as number[], Number)
  throw new DTypeError({ argument, expected: 'a tensor of int32 or int64', actual: tensor })
}
