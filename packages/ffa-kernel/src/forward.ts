import type { Tensor } from '@magi-attention/tensor'
import { markWritten } from '@magi-attention/tensor/internal'
import type { AttentionCall } from './attention-call.js'
import { selectBackend } from './backends/select-backend.js'
import { makeResults } from './make-results.js'
import { accumulationDtype } from './validation/check-shapes.js'

/** What a forward pass returns beside its output. None of it has a gradient. */
export interface AttnForwardMeta {
  /** `[total_q, num_heads_q]`, natural logarithm of the softmax denominator, sinks included; float32 (float64 for float64). */
  readonly lse: Tensor
  /** `[num_heads_q]`, the largest scaled and capped logit, dtype of lse; null unless `return_max_logits`. */
  readonly max_logits: Tensor | null
}

export interface ForwardInputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly sink: Tensor | null
}

/** Runs the forward pass into new tensors: out, lse and, if asked for, max_logits. */
export function runForward(
  call: AttentionCall,
  inputs: ForwardInputs,
  outDtype: 'float32' | AttentionCall['dtype'],
  returnMaxLogits: boolean,
): [out: Tensor, lse: Tensor, maxLogits: Tensor | null] {
  const { totalQ, numHeadsQ, headDim, device } = call
  const dtype = accumulationDtype(call.dtype)
  const { q, k, v, sink } = inputs
  return makeResults(device, make => {
    const out = make([totalQ, numHeadsQ, headDim], outDtype)
    const lse = make([totalQ, numHeadsQ], dtype)
    const maxLogits = returnMaxLogits ? make([numHeadsQ], dtype) : null
    selectBackend(call).forward(call, { q, k, v, sink, out, lse, maxLogits, accumulate: false })
    return [out, lse, maxLogits]
  })
}

/** Merges the forward pass into out and lse. Returns the max_logits of this pass, if asked for. */
export function accumulateForward(
  call: AttentionCall,
  inputs: ForwardInputs,
  { out, lse }: { out: Tensor; lse: Tensor },
  returnMaxLogits: boolean,
): Tensor | null {
  const { numHeadsQ, device } = call
  const { q, k, v, sink } = inputs
  return makeResults(device, make => {
    const maxLogits = returnMaxLogits ? make([numHeadsQ], lse.dtype) : null
    selectBackend(call).forward(call, { q, k, v, sink, out, lse, maxLogits, accumulate: true })
    markWritten(out)
    markWritten(lse)
    return maxLogits
  })
}
