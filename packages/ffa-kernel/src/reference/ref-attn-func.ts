import type { Tensor } from '@magi-attention/tensor'
import { checkAttentionCall } from '../attention-call.js'
import { checkOptionKeys, REFERENCE_KEYS } from '../options/option-keys.js'
import type { FlexFlashAttnOptions } from '../options/options.js'
import { checkLikeOut } from '../validation/check-shapes.js'
import { referenceBackward } from './reference-backward.js'
import { referenceForward } from './reference-forward.js'
import { tensorProblem, toFloat64Array } from './tensor-problem.js'

export interface RefAttnOptions extends FlexFlashAttnOptions {
  /** `[total_q, num_heads_q, head_dim]`, dtype of q. Given: the gradients are computed too. */
  readonly grad_out?: Tensor | null | undefined
}

/** Gradients of the reference, row-major, shaped like the tensors that they belong to. */
export interface RefAttnGrads {
  readonly dq: Float64Array
  readonly dk: Float64Array
  readonly dv: Float64Array
  /** Null without a sink. */
  readonly dsink: Float64Array | null
}

export interface RefAttnResult {
  /** `[total_q, num_heads_q, head_dim]` */
  readonly out: Float64Array
  /** `[total_q, num_heads_q]` */
  readonly lse: Float64Array
  /** `[num_heads_q]`, whether or not `return_max_logits` is set. */
  readonly max_logits: Float64Array
  /** Null without `grad_out`. */
  readonly grads: RefAttnGrads | null
}

/**
 * What `flex_flash_attn_func` computes, in float64 and by the definition, row by row. Takes the same options, tensors of
 * any float dtype, and returns plain arrays; nothing is rounded to the dtype of the tensors. For tests: it is slow.
 *
 * @throws as `flex_flash_attn_func`
 */
export function ref_attn_func(options: RefAttnOptions): RefAttnResult {
  checkOptionKeys(options, REFERENCE_KEYS)
  const call = checkAttentionCall(options)
  const { q, k, v } = options
  const gradOut = options.grad_out ?? null
  if (gradOut !== null) checkLikeOut('grad_out', gradOut, call.dtype, call)

  const problem = tensorProblem(call, { q, k, v, sink: options.sink ?? null })
  const { out, lse, maxLogits } = referenceForward(problem)
  const grads = gradOut === null ? null : referenceBackward(problem, toFloat64Array(gradOut), { out, lse })
  return { out, lse, max_logits: maxLogits, grads }
}
