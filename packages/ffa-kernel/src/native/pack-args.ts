import type { Tensor } from '@magi-attention/tensor'
import { dtypeCode } from '@magi-attention/tensor/internal'
import type { AttentionCall } from '../attention-call.js'
import type { BackwardTensors, ForwardTensors } from '../backends/backend.js'
import { BackwardArgsStruct, ForwardArgsStruct } from './structs.js'

/** MagiFfaSinkLayout of ffa.h. */
const SINK_LAYOUT_CODES = { sh: 0, ssh: 1 } as const

/** What a backend adds to a call. */
export interface BackendArgs {
  /** Address of the MagiFfaPlan. */
  readonly plan: bigint
  readonly num_threads: number
  /** CUDA device ordinal. */
  readonly device: number
  /** MagiFfaKernel of ffa.h. */
  readonly kernel: number
  readonly sm_margin: number
  /** cudaStream_t */
  readonly stream: bigint
}

/** The bytes of a MagiFfaForwardArgs. The next forward call reuses them. */
export function packForward(call: AttentionCall, tensors: ForwardTensors, backend: BackendArgs): Uint8Array {
  return ForwardArgsStruct.pack({
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
    softmax_scale: call.softmaxScale,
    softcap: call.softcap,
    plan: backend.plan,
    num_threads: backend.num_threads,
    device: backend.device,
    kernel: backend.kernel,
    sm_margin: backend.sm_margin,
    stream: backend.stream,
  })
}

/** The bytes of a MagiFfaBackwardArgs. The next backward call reuses them. */
export function packBackward(
  call: AttentionCall,
  tensors: BackwardTensors,
  backend: BackendArgs,
): Uint8Array {
  return BackwardArgsStruct.pack({
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
    deterministic: call.deterministic ? 1 : 0,
    softmax_scale: call.softmaxScale,
    softcap: call.softcap,
    plan: backend.plan,
    num_threads: backend.num_threads,
    device: backend.device,
    kernel: backend.kernel,
    sm_margin: backend.sm_margin,
    stream: backend.stream,
  })
}

function addressOrNull(tensor: Tensor | null): bigint {
  return tensor === null ? 0n : tensor.data_ptr()
}
