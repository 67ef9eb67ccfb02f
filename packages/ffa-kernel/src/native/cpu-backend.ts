import type { Tensor } from '@magi-attention/tensor'
import { dtypeCode, num_threads } from '@magi-attention/tensor/internal'
import type { AttentionCall } from '../attention-call.js'
import type { Backend, BackwardTensors, ForwardTensors } from '../backends/backend.js'
import { getTilePlan, transposeBands } from '../plan/index.js'
import { loadCpuLibrary } from './library.js'
import { nativePlanAddress } from './native-plan.js'
import { BackwardArgsStruct, ForwardArgsStruct } from './structs.js'

/** MagiFfaSinkLayout of ffa.h. */
const SINK_LAYOUT_CODES = { sh: 0, ssh: 1 } as const

/** Members that the CPU library ignores. */
const noDevice = { device: 0, kernel: 0, sm_margin: 0, stream: 0n } as const

/** libmagi_ffa_cpu: threads and SIMD, float32, bfloat16 and float16. */
export const cpuBackend: Backend = {
  forward(call: AttentionCall, tensors: ForwardTensors): void {
    const library = loadCpuLibrary()
    const { forwardRows, forwardCols, forwardAlignCols } = library.tileSizes(
      call.headDim,
      dtypeCode(call.dtype),
    )
    const plan = getTilePlan({
      bands: call.bands,
      numRows: call.totalQ,
      numCols: call.totalK,
      tileRows: forwardRows,
      tileCols: forwardCols,
      alignCols: forwardAlignCols,
    })
    const args = ForwardArgsStruct.pack({
      plan: nativePlanAddress(plan),
      q: tensors.q.data_ptr(),
      k: tensors.k.data_ptr(),
      v: tensors.v.data_ptr(),
      sink: addressOrNull(tensors.sink),
      out: tensors.out.data_ptr(),
      lse: tensors.lse.data_ptr(),
      max_logits: addressOrNull(tensors.maxLogits),
      total_q: call.totalQ,
      total_k: call.totalK,
      num_heads_q: call.numHeadsQ,
      num_heads_kv: call.numHeadsKv,
      head_dim: call.headDim,
      dtype: dtypeCode(call.dtype),
      out_dtype: dtypeCode(tensors.out.dtype),
      sink_layout: SINK_LAYOUT_CODES[call.sinkLayout],
      sink_tokens: call.sinkTokens,
      accumulate: tensors.accumulate ? 1 : 0,
      num_threads: num_threads(),
      softmax_scale: call.softmaxScale,
      softcap: call.softcap,
      ...noDevice,
    })
    library.forward(args, [plan, tensors])
  },

  backward(call: AttentionCall, tensors: BackwardTensors): void {
    const library = loadCpuLibrary()
    const { backwardRows, backwardCols } = library.tileSizes(call.headDim, dtypeCode(call.dtype))
    const plan = getTilePlan({
      bands: transposeBands(call.bands),
      numRows: call.totalK,
      numCols: call.totalQ,
      tileRows: backwardRows,
      tileCols: backwardCols,
      alignCols: true,
    })
    const args = BackwardArgsStruct.pack({
      plan: nativePlanAddress(plan),
      q: tensors.q.data_ptr(),
      k: tensors.k.data_ptr(),
      v: tensors.v.data_ptr(),
      sink: addressOrNull(tensors.sink),
      out: tensors.out.data_ptr(),
      lse: tensors.lse.data_ptr(),
      grad_out: tensors.gradOut.data_ptr(),
      grad_q: tensors.gradQ.data_ptr(),
      grad_k: tensors.gradK.data_ptr(),
      grad_v: tensors.gradV.data_ptr(),
      grad_sink: addressOrNull(tensors.gradSink),
      total_q: call.totalQ,
      total_k: call.totalK,
      num_heads_q: call.numHeadsQ,
      num_heads_kv: call.numHeadsKv,
      head_dim: call.headDim,
      dtype: dtypeCode(call.dtype),
      grad_dtype: dtypeCode(tensors.gradQ.dtype),
      sink_layout: SINK_LAYOUT_CODES[call.sinkLayout],
      sink_tokens: call.sinkTokens,
      num_threads: num_threads(),
      softmax_scale: call.softmaxScale,
      softcap: call.softcap,
      ...noDevice,
      deterministic: 1,
    })
    library.backward(args, [plan, tensors])
  },
}

function addressOrNull(tensor: Tensor | null): bigint {
  return tensor === null ? 0n : tensor.data_ptr()
}
