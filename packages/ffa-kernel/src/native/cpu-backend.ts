import { dtypeCode, num_threads } from '@magi-attention/tensor/internal'
import { checkStatus, messageBuffer } from '@magi-attention/tensor/native'
import type { AttentionCall } from '../attention-call.js'
import type { Backend } from '../backends/backend.js'
import { backwardPlan, forwardPlan } from './call-plans.js'
import { type FfaLibrary, loadCpuLibrary, type TileSizes } from './library.js'
import { hostPlan, type NativePlan } from './native-plan.js'
import { type BackendArgs, packBackward, packForward } from './pack-args.js'

/** libmagi_ffa_cpu: threads and SIMD, float32, bfloat16 and float16. */
export const cpuBackend: Backend = {
  forward(call, tensors) {
    const library = loadCpuLibrary()
    const plan = hostPlan(forwardPlan(call, tileSizes(library, call)))
    const status = library.forward(packForward(call, tensors, backendArgs(plan)), { plan, tensors })
    checkStatus(status, messageBuffer, 'magi_ffa_forward')
  },

  backward(call, tensors) {
    const library = loadCpuLibrary()
    const plan = hostPlan(backwardPlan(call, tileSizes(library, call)))
    const status = library.backward(packBackward(call, tensors, backendArgs(plan)), { plan, tensors })
    checkStatus(status, messageBuffer, 'magi_ffa_backward')
  },
}

/** The members that concern a GPU are ignored by the library. */
function backendArgs(plan: NativePlan): BackendArgs {
  return { plan: plan.address, num_threads: num_threads(), device: 0, kernel: 0, sm_margin: 0, stream: 0n }
}

function tileSizes(library: FfaLibrary, { headDim, dtype, numHeadsQ, numHeadsKv }: AttentionCall): TileSizes {
  const groupSize = numHeadsQ / numHeadsKv
  return library.tileSizes({ headDim, dtypeCode: dtypeCode(dtype), groupSize, device: 0, kernel: 0 })
}
