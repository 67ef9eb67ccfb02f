import { ArgumentError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import { checkAttentionCall, resultDtype } from './attention-call.js'
import { type AttnGrads, runBackward } from './backward.js'
import { type AttnForwardMeta, accumulateForward, runForward } from './forward.js'
import { checkFlag } from './options/check-flags.js'
import { BACKWARD_KEYS, checkOptionKeys, FORWARD_KEYS } from './options/option-keys.js'
import type { FlexFlashAttnBackwardOptions, FlexFlashAttnForwardOptions } from './options/options.js'
import { accumulationDtype, checkLikeOut, checkLse } from './validation/check-shapes.js'
import { checkWritable } from './validation/check-writable.js'

/**
 * The forward pass of `flex_flash_attn_func` without autograd, for other frameworks and for partial results.
 *
 * With `out` and `lse` the attention over this call's keys is merged into theirs, in place, as if one call had seen the
 * keys of both: `lse' = log(exp(lse) + exp(lse_new))`. The two sets of keys must be disjoint for each query, and a sink may
 * be passed to one call only. max_logits is that of this call.
 *
 * @throws as `flex_flash_attn_func`
 */
export function flex_flash_attn_forward(
  options: FlexFlashAttnForwardOptions,
): [out: Tensor, meta: AttnForwardMeta] {
  checkOptionKeys(options, FORWARD_KEYS)
  checkFlag('return_max_logits', options.return_max_logits)
  const call = checkAttentionCall(options)
  const { q, k, v, out_dtype: outDtype } = options
  const inputs = { q, k, v, sink: options.sink ?? null }
  const returnMaxLogits = options.return_max_logits ?? false
  const out = options.out ?? null
  const lse = options.lse ?? null
  if (out === null && lse === null) {
    const dtype = resultDtype('out_dtype', outDtype, call.dtype)
    const [newOut, newLse, maxLogits] = runForward(call, inputs, dtype, returnMaxLogits)
    return [newOut, { lse: newLse, max_logits: maxLogits }]
  }

  if (out === null || lse === null) {
    throw new ArgumentError({
      argument: out === null ? 'out' : 'lse',
      expected: 'a tensor, since out and lse accumulate together',
      actual: null,
    })
  }
  const dtype = accumulationDtype(call.dtype)
  checkLikeOut('out', out, dtype, call)
  checkLse(lse, call)
  if (outDtype !== undefined && outDtype !== dtype) {
    throw new ArgumentError({
      argument: 'out_dtype',
      expected: `'${dtype}', the dtype of the given out`,
      actual: outDtype,
    })
  }
  checkWritable('out', out, [q, k, v, inputs.sink, lse])
  checkWritable('lse', lse, [q, k, v, inputs.sink])
  const maxLogits = accumulateForward(call, inputs, { out, lse }, returnMaxLogits)
  return [out, { lse, max_logits: maxLogits }]
}

/**
 * The backward pass of `flex_flash_attn_func` without autograd. `out` and `lse` are those of the whole mask, the slices may
 * be a part of it: the gradients of disjoint parts add up to those of the whole. Pass the sink with one part only.
 *
 * @returns new tensors grad_q, grad_k, grad_v in `grad_dtype`, and grad_sink in the dtype of the sink or null
 * @throws as `flex_flash_attn_func`
 */
export function flex_flash_attn_backward(options: FlexFlashAttnBackwardOptions): AttnGrads {
  checkOptionKeys(options, BACKWARD_KEYS)
  const call = checkAttentionCall(options)
  const { q, k, v, out, lse, grad_out: gradOut } = options
  checkLikeOut('out', out, call.dtype, call)
  checkLse(lse, call)
  checkLikeOut('grad_out', gradOut, call.dtype, call)
  const dtype = resultDtype('grad_dtype', options.grad_dtype, call.dtype)
  return runBackward(call, { q, k, v, sink: options.sink ?? null, out, lse, gradOut }, dtype)
}
