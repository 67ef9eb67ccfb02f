import type { AttnMaskType, AttnRange, AttnRanges } from '@magi-attention/common'
import type { DType, Tensor } from '@magi-attention/tensor'
import type { SinkLayout } from '../reference/attention-problem.js'

/**
 * Ranges `[start, end)`: an int32 or int64 tensor `[n, 2]`, AttnRanges, pairs, or the pairs flat in an Int32Array.
 *
 * int32 tensors on the GPU of q stay there: the mask is planned by the GPU, and nothing waits for their values. What they have
 * outside the sequences is cut off instead of refused; a range that ends before it starts, or a slice of an unknown type, is
 * empty. A plan is kept for as long as nobody writes to the tensors through this library.
 */
export type RangesInput = Tensor | AttnRanges | Int32Array | readonly (readonly number[] | AttnRange)[]

/**
 * Mask types of the slices: an int32 or int64 tensor `[n]`, or a list, of codes (0 full, 1 causal, 2 inv_causal,
 * 3 bi_causal) or names; one code or name stands for all slices.
 */
export type AttnTypeMapInput =
  | Tensor
  | Int32Array
  | readonly (number | AttnMaskType)[]
  | number
  | AttnMaskType

/** Which (query, key) cells are attended: the union of the slices `(q_ranges[i], k_ranges[i], attn_type_map[i])`. */
export interface MaskOptions {
  /** Query ranges of the slices, within `[0, total_q)`, in any order, overlapping or empty. */
  readonly q_ranges?: RangesInput | null | undefined
  /** Key ranges of the slices, within `[0, total_k)`, as many as `q_ranges`. */
  readonly k_ranges?: RangesInput | null | undefined
  /** Default: every slice is full. */
  readonly attn_type_map?: AttnTypeMapInput | null | undefined
}

/** What the scores are made of, apart from q, k and the mask. */
export interface ScoreOptions {
  /**
   * Extra logits with zero value vectors, neither scaled nor capped; float32 (or float64 beside float64 tensors), 1 to 8
   * tokens, shaped by `sink_layout`. Default: none.
   */
  readonly sink?: Tensor | null | undefined
  /** `'sh'` (default): `[sink_tokens, num_heads_q]`. `'ssh'`: `[total_q, sink_tokens, num_heads_q]`. */
  readonly sink_layout?: SinkLayout | undefined
  /** Factor of q·k. Any finite number, also 0 and below. Default: `head_dim ** -0.5`. */
  readonly softmax_scale?: number | null | undefined
  /** Logits become `softcap * tanh(logit / softcap)`, before the mask applies. Default 0: off. */
  readonly softcap?: number | undefined
}

/**
 * MagiAttention's tuning flags. They are checked; `deterministic` and `sm_margin` concern GPUs, the others change nothing: the
 * tile plan already does what they ask for, without atomics in forward.
 */
export interface PerformanceOptions {
  /**
   * Gradients are the same bits from run to run on a GPU, too, at some cost in speed. Forward, and the CPU, always are.
   * Default false.
   */
  readonly deterministic?: boolean | undefined
  /** Multiprocessors of the GPU to leave free for other kernels. Default 0. */
  readonly sm_margin?: number | undefined
  readonly disable_fwd_atomic_reduction?: boolean | undefined
  readonly disable_bwd_dkv_atomic_reduction?: boolean | undefined
  readonly ref_block_size?: readonly [number, number] | null | undefined
  readonly max_seqlen_q?: number | null | undefined
  readonly auto_range_merge?: boolean | undefined
  readonly swap_ab?: boolean | undefined
  readonly pack_gqa?: boolean | undefined
  readonly cat_gqa?: boolean | undefined
  readonly sparse_load?: boolean | undefined
  readonly swap_bwd_qk_loop?: boolean | undefined
}

/** The other way to describe a mask, instead of `q_ranges`, `k_ranges` and `attn_type_map`: the keys of every query. */
export interface IndexAttentionOptions {
  /**
   * `[total_q, num_heads_kv, topk]`, int32 or int64: the keys that a query attends with the query heads of one kv head, in
   * any order; behind the last one -1. Each kv head is a call of the kernel of its own, and each run of neighbouring keys
   * a slice: meant for up to some 100,000 of them.
   */
  readonly index_attn_indices?: Tensor | null | undefined
  /** Changes nothing: `index_attn_indices` says it. */
  readonly index_attn?: boolean | undefined
  /** Only 1. */
  readonly q_block_size?: number | undefined
  /** Only 1. */
  readonly k_block_size?: number | undefined
}

export interface AttentionTensors {
  /**
   * `[total_q, num_heads_q, head_dim]`, float32, bfloat16, float16 or float64, on a GPU bfloat16 or float16; head_dim a
   * multiple of 8 up to 256.
   */
  readonly q: Tensor
  /** `[total_k, num_heads_kv, head_dim]`, dtype and device of q; num_heads_kv divides num_heads_q. */
  readonly k: Tensor
  /** Like k. */
  readonly v: Tensor
}

export interface FlexFlashAttnOptions
  extends AttentionTensors,
    MaskOptions,
    ScoreOptions,
    PerformanceOptions,
    IndexAttentionOptions {
  /** Also return the largest logit of every head. Default false. */
  readonly return_max_logits?: boolean | undefined
}

export interface FlexFlashAttnForwardOptions extends FlexFlashAttnOptions {
  /**
   * `[total_q, num_heads_q, head_dim]`, float32 (float64 beside float64 tensors). Given together with `lse`: the
   * attention over this call's mask is merged into what the two hold, in place.
   */
  readonly out?: Tensor | null | undefined
  /** `[total_q, num_heads_q]`, float32 (float64 beside float64 tensors); -Infinity where nothing has been attended. */
  readonly lse?: Tensor | null | undefined
  /** dtype of out: that of q (default), or `'float32'`. */
  readonly out_dtype?: DType | undefined
}

export interface FlexFlashAttnBackwardOptions
  extends AttentionTensors,
    MaskOptions,
    ScoreOptions,
    PerformanceOptions,
    IndexAttentionOptions {
  /** `[total_q, num_heads_q, head_dim]`, dtype of q: the output of the forward pass over the whole mask. */
  readonly out: Tensor
  /** `[total_q, num_heads_q]`, float32 (float64 beside float64 tensors): its lse, sinks included. */
  readonly lse: Tensor
  /** `[total_q, num_heads_q, head_dim]`, dtype of q. */
  readonly grad_out: Tensor
  /** dtype of grad_q, grad_k and grad_v: that of q (default), or `'float32'`. */
  readonly grad_dtype?: DType | undefined
}
