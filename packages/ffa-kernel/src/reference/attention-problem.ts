import type { Band } from '@magi-attention/common'

/** `'sh'`: sinks `[sink_tokens, num_heads_q]`, shared by all rows. `'ssh'`: `[total_q, sink_tokens, num_heads_q]`. */
export type SinkLayout = 'sh' | 'ssh'

/** One attention call in plain float64 arrays, all dense and row-major. The mask is the union of `bands`. */
export interface AttentionProblem {
  /** `[totalQ, numHeadsQ, headDim]` */
  readonly q: Float64Array
  /** `[totalK, numHeadsKv, headDim]` */
  readonly k: Float64Array
  /** `[totalK, numHeadsKv, headDim]` */
  readonly v: Float64Array
  readonly totalQ: number
  readonly totalK: number
  readonly numHeadsQ: number
  /** Divides `numHeadsQ`: query head h attends to kv head `floor(h * numHeadsKv / numHeadsQ)`. */
  readonly numHeadsKv: number
  readonly headDim: number
  readonly bands: readonly Band[]
  /** A mask for each kv head, `[numHeadsKv]`, instead of `bands`. Default: all heads share `bands`. */
  readonly kvHeadBands?: readonly (readonly Band[])[] | null
  readonly softmaxScale: number
  /** 0: off. Otherwise logits become `softcap * tanh(logit / softcap)`, before the mask applies. */
  readonly softcap: number
  /** Extra logits without value vectors, neither scaled nor capped. */
  readonly sink: Float64Array | null
  readonly sinkLayout: SinkLayout
  readonly sinkTokens: number
}

export interface AttentionForward {
  /** `[totalQ, numHeadsQ, headDim]`; 0 in rows without keys. */
  readonly out: Float64Array
  /** `[totalQ, numHeadsQ]`, natural logarithm of the softmax denominator, sinks included; -Infinity in empty rows. */
  readonly lse: Float64Array
  /** `[numHeadsQ]`, the largest scaled and capped logit of an attended cell, without sinks; -Infinity if there is none. */
  readonly maxLogits: Float64Array
}

export interface AttentionBackward {
  /** `[totalQ, numHeadsQ, headDim]` */
  readonly dq: Float64Array
  /** `[totalK, numHeadsKv, headDim]` */
  readonly dk: Float64Array
  /** `[totalK, numHeadsKv, headDim]` */
  readonly dv: Float64Array
  /** Shaped like the sink; null without one. */
  readonly dsink: Float64Array | null
}
