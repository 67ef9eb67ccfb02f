import { type Device, type DType, from_typed_array, type Tensor } from '@magi-attention/tensor'
import { checkAttentionCall } from '../../src/attention-call.js'
import { type FlexFlashAttnOptions, flex_flash_attn_func } from '../../src/index.js'
import type { AttentionBackward, AttentionForward } from '../../src/reference/attention-problem.js'
import { referenceBackward } from '../../src/reference/reference-backward.js'
import { referenceForward } from '../../src/reference/reference-forward.js'
import { tensorProblem, toFloat64Array } from '../../src/reference/tensor-problem.js'
import { denseYardstick, type YardstickResult } from './dense-yardstick.js'
import type { AttentionCase } from './generate-case.js'
import { normalNumbers } from './random.js'
import { roundingOf } from './rounding.js'

export interface CaseTensors {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly sink: Tensor | null
  readonly gradOut: Tensor
}

export function caseTensors(c: AttentionCase, device: Device = 'cpu'): CaseTensors {
  const random = normalNumbers(c.seed)
  const make = (shape: readonly number[], dtype: DType) => {
    const values = random(shape.reduce((product, size) => product * size, 1))
    return from_typed_array(values, shape, { dtype: 'float32' }).to({ dtype, device })
  }
  const { totalQ, totalK, numHeadsQ, numHeadsKv, headDim, dtype, sinkTokens } = c
  const q = make([totalQ, numHeadsQ, headDim], dtype)
  const k = make([totalK, numHeadsKv, headDim], dtype)
  const v = make([totalK, numHeadsKv, headDim], dtype)
  const gradOut = make([totalQ, numHeadsQ, headDim], dtype)
  const sinkShape = c.sinkLayout === 'ssh' ? [totalQ, sinkTokens, numHeadsQ] : [sinkTokens, numHeadsQ]
  const sink = sinkTokens === 0 ? null : make(sinkShape, 'float32')
  return { q, k, v, sink, gradOut }
}

export function caseOptions(c: AttentionCase, { q, k, v, sink }: CaseTensors): FlexFlashAttnOptions {
  return {
    q,
    k,
    v,
    sink,
    q_ranges: c.slices.map(slice => slice.q),
    k_ranges: c.slices.map(slice => slice.k),
    attn_type_map: c.slices.map(slice => slice.type),
    sink_layout: c.sinkLayout,
    softmax_scale: c.softmaxScale,
    softcap: c.softcap,
  }
}

/** Everything that a forward and backward pass gives, as numbers. */
export interface CaseResult {
  readonly out: Float64Array
  readonly lse: Float64Array
  /** Null if `return_max_logits` was switched off. */
  readonly maxLogits: Float64Array | null
  readonly dq: Float64Array
  readonly dk: Float64Array
  readonly dv: Float64Array
  readonly dsink: Float64Array | null
}

/** Forward and backward through the tape. Results lie in memory that held NaN before. */
export function runKernel(
  c: AttentionCase,
  tensors: CaseTensors,
  changes: Partial<FlexFlashAttnOptions> = {},
): CaseResult {
  const inputs = [tensors.q, tensors.k, tensors.v, ...(tensors.sink === null ? [] : [tensors.sink])]
  for (const input of inputs) {
    input.grad = null
    input.requires_grad = true
  }
  poisonMemory(tensors)
  const options = { ...caseOptions(c, tensors), return_max_logits: true, ...changes }
  const [out, meta] = flex_flash_attn_func(options)
  poisonMemory(tensors)
  out.backward(tensors.gradOut)
  const result = {
    out: toFloat64Array(out),
    lse: toFloat64Array(meta.lse),
    maxLogits: meta.max_logits && toFloat64Array(meta.max_logits),
    dq: toFloat64Array(tensors.q.grad!),
    dk: toFloat64Array(tensors.k.grad!),
    dv: toFloat64Array(tensors.v.grad!),
    dsink: tensors.sink === null ? null : toFloat64Array(tensors.sink.grad!),
  }
  for (const tensor of [out, meta.lse, meta.max_logits]) tensor?.dispose()
  return result
}

/** Frees blocks full of NaN in the sizes of the results, so that the pool hands them out next. */
function poisonMemory({ q, k, v, sink }: CaseTensors): void {
  const lseBytes = 4 * q.shape[0]! * q.shape[1]!
  const sizes = [q, k, v, ...(sink === null ? [] : [sink])].map(tensor => bytesOf(tensor))
  const blocks = [...sizes, ...sizes, lseBytes, 4 * q.shape[1]!].map(bytes => {
    // All bits set are NaN in every float dtype.
    using ones = from_typed_array(new Uint16Array(bytes / 2).fill(0xffff), [bytes / 2], { dtype: 'bfloat16' })
    return q.device === 'cpu' ? ones.clone() : ones.to(q.device)
  })
  for (const block of blocks) block.dispose()
}

function bytesOf(tensor: Tensor): number {
  return tensor.numel() * (tensor.dtype === 'float32' ? 4 : tensor.dtype === 'float64' ? 8 : 2)
}

export interface Expectation extends AttentionForward, AttentionBackward {
  readonly yardstick: YardstickResult
}

/** The float64 results for a case, and those of a dense computation in its dtype. */
export function runReference(c: AttentionCase, tensors: CaseTensors): Expectation {
  const problem = tensorProblem(checkAttentionCall(caseOptions(c, tensors)), tensors)
  const gradOut = toFloat64Array(tensors.gradOut)
  const forward = referenceForward(problem)
  return {
    ...forward,
    ...referenceBackward(problem, gradOut, forward),
    yardstick: denseYardstick(problem, gradOut, roundingOf(c.dtype)),
  }
}
