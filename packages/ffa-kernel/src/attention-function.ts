import type { CustomFunction, FunctionContext, Tensor } from '@magi-attention/tensor'
import type { AttentionCall } from './attention-call.js'
import { runBackward } from './backward.js'
import { runForward } from './forward.js'

export interface AttentionFunctionOptions {
  readonly call: AttentionCall
  readonly returnMaxLogits: boolean
}

export type AttentionInputs = readonly [q: Tensor, k: Tensor, v: Tensor, sink: Tensor | null]

/** Attention on the tape. Outputs out, lse and, if asked for, max_logits. */
export const attentionFunction: CustomFunction<AttentionFunctionOptions, AttentionInputs> = {
  name: 'flex_flash_attn_func',

  forward(ctx: FunctionContext, [q, k, v, sink]: AttentionInputs, { call, returnMaxLogits }): Tensor[] {
    const [out, lse, maxLogits] = runForward(call, { q, k, v, sink }, call.dtype, returnMaxLogits)
    if (sink === null) ctx.save_for_backward(q, k, v, out, lse)
    else ctx.save_for_backward(q, k, v, out, lse, sink)
    if (maxLogits === null) {
      ctx.mark_non_differentiable(lse)
      return [out, lse]
    }
    ctx.mark_non_differentiable(lse, maxLogits)
    return [out, lse, maxLogits]
  },

  backward(ctx: FunctionContext, gradOutputs: readonly (Tensor | null)[], { call }): (Tensor | null)[] {
    const gradOut = gradOutputs[0]
    if (gradOut === undefined || gradOut === null) return [null, null, null, null]
    const [q, k, v, out, lse, sink = null] = ctx.saved_tensors as readonly [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor?,
    ]
    const grads = runBackward(call, { q, k, v, sink, out, lse, gradOut }, call.dtype)
    return [grads.grad_q, grads.grad_k, grads.grad_v, grads.grad_sink]
  },
}
