import { apply_function, type Tensor } from '@magi-attention/tensor'
import { checkAttentionCall } from './attention-call.js'
import { attentionFunction } from './attention-function.js'
import type { AttnForwardMeta } from './forward.js'
import { checkFlag } from './options/check-flags.js'
import { checkOptionKeys, FLEX_FLASH_ATTN_KEYS } from './options/option-keys.js'
import type { FlexFlashAttnOptions } from './options/options.js'

/**
 * Exact attention over any mask, with gradients for q, k, v and the sink:
 *
 *     s_ij = softmax_scale * q_i · k_j          (softcap c > 0: c * tanh(s_ij / c))
 *     lse_i = log(Σ_j exp(s_ij) + Σ_t exp(sink_t))
 *     out_i = Σ_j exp(s_ij - lse_i) * v_j
 *
 * where j runs over the keys that the mask gives to query i: the union of its slices, so that a cell which two slices
 * cover counts once. Query head h attends to kv head `floor(h / (num_heads_q / num_heads_kv))`. A query without keys has
 * out 0 and lse -Infinity (with sinks, `log Σ_t exp(sink_t)`). No tokens and no slices are legal.
 *
 * The sum runs in float32; results are bit-identical from run to run and for any number of threads, on a GPU the gradients
 * with `deterministic`. float64 tensors are computed by the float64 reference, which is slow. On a GPU the call returns once
 * its work is enqueued on the current stream.
 *
 * @returns out `[total_q, num_heads_q, head_dim]` in q's dtype, and meta with `lse` `[total_q, num_heads_q]` and
 * `max_logits` `[num_heads_q]` or null. max_logits is the largest logit after scale and cap. meta has no gradient.
 *
 * @throws ArgumentError for an option that is unknown or of the wrong type; ShapeError, DTypeError, DeviceError and
 * DisposedError for tensors that do not fit; InvalidRangeError for ranges that end before they start or leave the
 * sequence; UnsupportedError for what no backend does; NativeLibraryNotFoundError if the kernel library is missing;
 * OutOfMemoryError
 *
 * @example
 * // Queries 1024 to 2047 are causal over all keys, the ones before see the first half.
 * const [out, meta] = flex_flash_attn_func({
 *   q, k, v,
 *   q_ranges: [[0, 1024], [1024, 2048]],
 *   k_ranges: [[0, 1024], [0, 2048]],
 *   attn_type_map: ['full', 'causal'],
 * })
 * out.backward(grad_out)
 */
export function flex_flash_attn_func(options: FlexFlashAttnOptions): [out: Tensor, meta: AttnForwardMeta] {
  checkOptionKeys(options, FLEX_FLASH_ATTN_KEYS)
  checkFlag('return_max_logits', options.return_max_logits)
  const call = checkAttentionCall(options)
  const returnMaxLogits = options.return_max_logits ?? false
  const [out, lse, maxLogits = null] = apply_function(
    attentionFunction,
    [options.q, options.k, options.v, options.sink ?? null],
    { call, returnMaxLogits },
  ) as [Tensor, Tensor, Tensor?]
  return [out, { lse, max_logits: maxLogits }]
}
