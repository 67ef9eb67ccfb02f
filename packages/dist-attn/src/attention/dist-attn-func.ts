import type { AttnForwardMeta } from '@magi-attention/ffa-kernel'
import {
  apply_function,
  type CustomFunction,
  type FunctionContext,
  type Tensor,
} from '@magi-attention/tensor'
import type { RuntimeSwitches } from '../env.js'
import { distBackward } from './backward.js'
import { distForward } from './forward.js'
import type { DistAttnPart, KeyValue, Scores } from './stage.js'

export interface DistAttnFuncOptions {
  readonly part: DistAttnPart
  readonly scores: Scores
  readonly returnMaxLogits: boolean
  readonly switches: RuntimeSwitches
}

type Inputs = readonly [q: Tensor, k: Tensor, v: Tensor, sink: Tensor | null]

/** Whether the keys of the last call stay until backward, which begins with them then. */
function keepsTail({ part, switches }: DistAttnFuncOptions): boolean {
  return switches.backwardHideTailReduce && part.calls.length > 1
}

const distAttnFunction: CustomFunction<DistAttnFuncOptions, Inputs> = {
  name: 'calc_attn',

  forward(ctx: FunctionContext, [q, k, v, sink], options) {
    const { part, scores, switches, returnMaxLogits } = options
    const isRecording = ctx.needs_input_grad.includes(true)
    const { out, lse, maxLogits, tail } = distForward(
      part,
      { q, k, v, sink },
      { scores, switches, returnMaxLogits, keepsTail: isRecording && keepsTail(options) },
    )
    ctx.save_for_backward(q, k, v, out, lse, ...(tail ? [tail.k, tail.v] : []), ...(sink ? [sink] : []))
    tail?.k.dispose()
    tail?.v.dispose()
    ctx.mark_non_differentiable(lse, ...(maxLogits ? [maxLogits] : []))
    return maxLogits ? [out, lse, maxLogits] : [out, lse]
  },

  backward(ctx: FunctionContext, [gradOut], options) {
    if (!gradOut) return [null, null, null, null]
    const [q, k, v, out, lse, ...rest] = ctx.saved_tensors as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      ...Tensor[],
    ]
    let tail: KeyValue | null = null
    if (keepsTail(options)) tail = { k: rest.shift()!, v: rest.shift()! }
    const sink = rest[0] ?? null
    const grads = distBackward(options.part, { q, k, v, sink, out, lse, gradOut, tail }, options)
    return [grads.grad_q, grads.grad_k, grads.grad_v, grads.grad_sink]
  },
}

/** Attention of this rank's queries over the keys of all ranks, on the tape. Arguments are checked already. */
export function distAttnFunc(
  [q, k, v, sink]: Inputs,
  options: DistAttnFuncOptions,
): [out: Tensor, meta: AttnForwardMeta] {
  const [out, lse, maxLogits = null] = apply_function(distAttnFunction, [q, k, v, sink], options) as [
    Tensor,
    Tensor,
    Tensor?,
  ]
  return [out, { lse, max_logits: maxLogits }]
}
