import { UnsupportedError } from '@magi-attention/common'
import type { AttentionCall } from '../attention-call.js'
import { cpuBackend } from '../native/cpu-backend.js'
import { cudaBackend } from '../native/cuda-backend.js'
import type { Backend } from './backend.js'
import { byKvHead } from './by-kv-head.js'
import { referenceBackend } from './reference-backend.js'

const cpuBackendByKvHead = byKvHead(cpuBackend)
const cudaBackendByKvHead = byKvHead(cudaBackend)

/** The backend for a call's device and dtype. @throws UnsupportedError if there is none */
export function selectBackend({ device, dtype, kvHeadBands }: AttentionCall): Backend {
  if (device === 'cpu') {
    if (dtype === 'float64') return referenceBackend
    return kvHeadBands === null ? cpuBackend : cpuBackendByKvHead
  }
  if (dtype === 'bfloat16' || dtype === 'float16') {
    return kvHeadBands === null ? cudaBackend : cudaBackendByKvHead
  }
  throw new UnsupportedError({
    argument: 'q',
    expected: `a tensor of bfloat16 or float16 on ${device}`,
    actual: dtype,
    hint: "Convert the tensors with .to('bfloat16'), or move them with .to('cpu').",
  })
}
