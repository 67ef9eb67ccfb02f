import type { Tensor } from '@magi-attention/tensor'
import type { AttentionCall } from '../attention-call.js'

/** Tensors of a forward pass; the call has their sizes. */
export interface ForwardTensors {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly sink: Tensor | null
  /** Written: `[total_q, num_heads_q, head_dim]`. */
  readonly out: Tensor
  /** Written: `[total_q, num_heads_q]`. */
  readonly lse: Tensor
  /** Written: `[num_heads_q]`. */
  readonly maxLogits: Tensor | null
  /** Merge with what out and lse hold, instead of overwriting it. */
  readonly accumulate: boolean
}

/** Tensors of a backward pass. The gradients are written, not added to. */
export interface BackwardTensors {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly sink: Tensor | null
  readonly out: Tensor
  readonly lse: Tensor
  readonly gradOut: Tensor
  readonly gradQ: Tensor
  readonly gradK: Tensor
  readonly gradV: Tensor
  readonly gradSink: Tensor | null
}

/** What computes attention. The call and the tensors have been checked. */
export interface Backend {
  forward(call: AttentionCall, tensors: ForwardTensors): void
  backward(call: AttentionCall, tensors: BackwardTensors): void
}
