import type { Tensor } from '@magi-attention/tensor'
import type { AttentionForward } from '../reference/attention-problem.js'
import { referenceBackward as computeBackward } from '../reference/reference-backward.js'
import { referenceForward as computeForward } from '../reference/reference-forward.js'
import { tensorProblem, toFloat64Array } from '../reference/tensor-problem.js'
import type { Backend } from './backend.js'

/** The float64 reference as a backend: for float64 tensors on the CPU. */
export const referenceBackend: Backend = {
  forward(call, { q, k, v, sink, out, lse, maxLogits, accumulate }) {
    const result = computeForward(tensorProblem(call, { q, k, v, sink }))
    if (accumulate) mergeInto(result, toFloat64Array(out), toFloat64Array(lse))
    out.copy_(result.out)
    lse.copy_(result.lse)
    maxLogits?.copy_(result.maxLogits)
  },

  backward(call, { q, k, v, sink, out, lse, gradOut, gradQ, gradK, gradV, gradSink }) {
    const forward = { out: toFloat64Array(out), lse: toFloat64Array(lse) }
    const grads = computeBackward(tensorProblem(call, { q, k, v, sink }), toFloat64Array(gradOut), forward)
    gradQ.copy_(grads.dq)
    gradK.copy_(grads.dk)
    gradV.copy_(grads.dv)
    if (gradSink !== null && grads.dsink !== null) copyRounded(gradSink, grads.dsink)
  },
}

/** result := result and (out, lse) merged, as if one softmax had seen the keys of both. */
function mergeInto(result: AttentionForward, out: Float64Array, lse: Float64Array): void {
  const dim = out.length / Math.max(lse.length, 1)
  for (let row = 0; row < lse.length; row++) {
    const a = lse[row]!
    const b = result.lse[row]!
    const larger = Math.max(a, b)
    if (larger === Number.NEGATIVE_INFINITY) continue
    const merged = larger + Math.log(Math.exp(a - larger) + Math.exp(b - larger))
    const aWeight = Math.exp(a - merged)
    const bWeight = Math.exp(b - merged)
    for (let i = row * dim; i < (row + 1) * dim; i++) {
      // What stands beside an lse of -Infinity has no meaning, and may be NaN.
      result.out[i] = (aWeight > 0 ? aWeight * out[i]! : 0) + bWeight * result.out[i]!
    }
    result.lse[row] = merged
  }
}

function copyRounded(target: Tensor, values: Float64Array): void {
  target.copy_(target.dtype === 'float64' ? values : Float32Array.from(values))
}
