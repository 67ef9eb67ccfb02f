import type { Tensor } from '@magi-attention/tensor'
import type { AttentionCall } from './attention-call.js'
import { selectBackend } from './backends/select-backend.js'
import { makeResults } from './make-results.js'

export interface BackwardInputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly sink: Tensor | null
  readonly out: Tensor
  readonly lse: Tensor
  readonly gradOut: Tensor
}

/** Gradients of one attention call. */
export interface AttnGrads {
  /** `[total_q, num_heads_q, head_dim]` */
  readonly grad_q: Tensor
  /** `[total_k, num_heads_kv, head_dim]` */
  readonly grad_k: Tensor
  /** `[total_k, num_heads_kv, head_dim]` */
  readonly grad_v: Tensor
  /** Shape and dtype of the sink; null without one. */
  readonly grad_sink: Tensor | null
}

/** Runs the backward pass into new tensors. */
export function runBackward(
  call: AttentionCall,
  inputs: BackwardInputs,
  dtype: 'float32' | AttentionCall['dtype'],
): AttnGrads {
  const { device } = call
  const { q, k, v, sink, out, lse, gradOut } = inputs
  return makeResults(device, make => {
    const gradQ = make(q.shape, dtype)
    const gradK = make(k.shape, dtype)
    const gradV = make(v.shape, dtype)
    const gradSink = sink === null ? null : make(sink.shape, sink.dtype)
    selectBackend(call).backward(call, { q, k, v, sink, out, lse, gradOut, gradQ, gradK, gradV, gradSink })
    return { grad_q: gradQ, grad_k: gradK, grad_v: gradV, grad_sink: gradSink }
  })
}
