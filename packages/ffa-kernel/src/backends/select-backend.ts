import { UnsupportedError } from '@magi-attention/common'
import type { AttentionCall } from '../attention-call.js'
import { cpuBackend } from '../native/cpu-backend.js'
import type { Backend } from './backend.js'
import { byKvHead } from './by-kv-head.js'
import { referenceBackend } from './reference-backend.js'

const cpuBackendByKvHead = byKvHead(cpuBackend)

/** The backend for a call's device and dtype. @throws UnsupportedError if there is none */
export function selectBackend({ device, dtype, kvHeadBands }: AttentionCall): Backend {
  if (device === 'cpu') {
    if (dtype === 'float64') return referenceBackend
    return kvHeadBands === null ? cpuBackend : cpuBackendByKvHead
  }
  throw new UnsupportedError({
    argument: 'q',
    expected: 'a tensor on a device that this build has a kernel for: cpu',
    actual: device,
    hint: "Move the tensors with .to('cpu').",
  })
}
