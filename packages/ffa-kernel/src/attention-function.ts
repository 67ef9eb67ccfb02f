import { type CustomFunction, type FunctionContext, Tensor } from '@magi-attention/tensor'
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
    ctx.save_for_backward(q, k, v, out, lse, ...(sink === null ? [] : [sink]), ...maskTensors(call))
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
    const [q, k, v, out, lse, ...rest] = ctx.saved_tensors as readonly [
      ...[q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor],
      ...Tensor[],
    ]
    const sink = call.sinkTokens === 0 ? null : rest.shift()!
    const inputs = { q, k, v, sink, out, lse, gradOut }
    const grads = runBackward(withMaskTensors(call, rest), inputs, call.dtype)
    return [grads.grad_q, grads.grad_k, grads.grad_v, grads.grad_sink]
  },
}

/** The tensors of a mask on a GPU. The tape holds them: the caller may dispose of its own, or change them by mistake. */
function maskTensors({ deviceSlices }: AttentionCall): Tensor[] {
  if (deviceSlices === null) return []
  const { qRanges, kRanges, attnTypeMap } = deviceSlices
  return attnTypeMap instanceof Tensor ? [qRanges, kRanges, attnTypeMap] : [qRanges, kRanges]
}

function withMaskTensors(call: AttentionCall, [qRanges, kRanges, types]: readonly Tensor[]): AttentionCall {
  if (call.deviceSlices === null) return call
  const attnTypeMap = types ?? call.deviceSlices.attnTypeMap
  return { ...call, deviceSlices: { qRanges: qRanges!, kRanges: kRanges!, attnTypeMap } }
}
