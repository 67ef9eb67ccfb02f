import type { Band } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import type { AttentionCall } from '../attention-call.js'
import { readMask } from '../mask/read-mask.js'
import type { AttentionProblem } from './attention-problem.js'

/** A checked call and its tensors as plain float64 arrays. */
export function tensorProblem(
  call: AttentionCall,
  { q, k, v, sink }: { q: Tensor; k: Tensor; v: Tensor; sink: Tensor | null },
): AttentionProblem {
  return {
    q: toFloat64Array(q),
    k: toFloat64Array(k),
    v: toFloat64Array(v),
    totalQ: call.totalQ,
    totalK: call.totalK,
    numHeadsQ: call.numHeadsQ,
    numHeadsKv: call.numHeadsKv,
    headDim: call.headDim,
    bands: readBands(call),
    kvHeadBands: call.kvHeadBands,
    softmaxScale: call.softmaxScale,
    softcap: call.softcap,
    sink: sink === null ? null : toFloat64Array(sink),
    sinkLayout: call.sinkLayout,
    sinkTokens: call.sinkTokens,
  }
}

/** The bands of a call, read back from the GPU if they lie there. */
function readBands({ bands, deviceSlices, totalQ, totalK }: AttentionCall): readonly Band[] {
  if (deviceSlices === null) return bands
  const { qRanges, kRanges, attnTypeMap } = deviceSlices
  return readMask({ q_ranges: qRanges, k_ranges: kRanges, attn_type_map: attnTypeMap }, totalQ, totalK)
}

/** The values of a float tensor, exactly. */
export function toFloat64Array(tensor: Tensor): Float64Array {
  const array = tensor.dtype === 'float64' ? tensor.to_typed_array() : tensor.to_float32_array()
  return array instanceof Float64Array ? array : Float64Array.from(array as Float32Array)
}
