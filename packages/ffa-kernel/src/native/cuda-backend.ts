import { ArgumentError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import {
  callWithMemory,
  checkCuda,
  currentStream,
  deviceIndex,
  dtypeCode,
  recordOperation,
} from '@magi-attention/tensor/internal'
import type { AttentionCall } from '../attention-call.js'
import type { Backend, BackwardTensors, ForwardTensors } from '../backends/backend.js'
import { backwardPlan, forwardPlan } from './call-plans.js'
import { type DevicePlanOptions, devicePlan } from './device-plan.js'
import { chosenKernel } from './kernel-choice.js'
import { type CudaFfaLibrary, loadCudaLibrary, type TileSizes } from './library.js'
import type { NativePlan } from './native-plan.js'
import { type BackendArgs, packBackward, packForward } from './pack-args.js'
import { uploadedPlan } from './uploaded-plan.js'

const MAX_INT32 = 2 ** 31 - 1

/** libmagi_ffa_cuda: bfloat16 and float16 on GPUs. Work is enqueued on the current stream; nothing waits. */
export const cudaBackend: Backend = {
  forward(call: AttentionCall, tensors: ForwardTensors): void {
    const { q, k, v, out } = tensors
    checkAligned({ q, k, v, out })
    const library = loadCudaLibrary()
    const target = targetOf(library, call)
    const plan = call.deviceSlices
      ? devicePlan(library, call, call.deviceSlices, forwardOptions(target))
      : uploadedPlan(forwardPlan(call, target.sizes), call.device, target.stream)
    const args = packForward(call, tensors, backendArgs(call, target, plan))
    enqueue('attention forward', target, () => library.forward(args, { plan, tensors }))
  },

  backward(call: AttentionCall, tensors: BackwardTensors): void {
    const { q, k, v, out, gradOut } = tensors
    checkAligned({ q, k, v, out, grad_out: gradOut })
    const library = loadCudaLibrary()
    const target = targetOf(library, call)
    const plan = call.deviceSlices
      ? devicePlan(library, call, call.deviceSlices, backwardOptions(target))
      : uploadedPlan(backwardPlan(call, target.sizes), call.device, target.stream)
    const args = packBackward(call, tensors, backendArgs(call, target, plan))
    enqueue('attention backward', target, () => library.backward(args, { plan, tensors }))
  },
}

/** Where a call runs, and with which tiles. */
interface Target {
  readonly device: number
  readonly stream: bigint
  readonly sizes: TileSizes
}

function targetOf(library: CudaFfaLibrary, call: AttentionCall): Target {
  const device = deviceIndex(call.device)
  const sizes = library.tileSizes({
    headDim: call.headDim,
    dtypeCode: dtypeCode(call.dtype),
    groupSize: call.numHeadsQ / call.numHeadsKv,
    device,
    kernel: chosenKernel(),
  })
  return { device, stream: currentStream(call.device), sizes }
}

function backendArgs(call: AttentionCall, { device, stream, sizes }: Target, plan: NativePlan): BackendArgs {
  const { kernel } = sizes
  const sm_margin = Math.min(call.smMargin, MAX_INT32)
  // Tells the plan's memory who uses it: this stream may lie at the address of one that was destroyed, whose plan is found.
  plan.memory?.data_ptr()
  return { plan: plan.address, num_threads: 0, device, kernel, sm_margin, stream }
}

/** Makes a native call. The GPU may find an error later: then it is known which operations it can come from. */
function enqueue(name: string, { device, stream }: Target, call: () => number): void {
  checkCuda(callWithMemory(device, call), name, device)
  recordOperation(device, stream, name)
}

function forwardOptions({ sizes, device, stream }: Target): DevicePlanOptions {
  const { forwardRows: tileRows, forwardCols: tileCols, forwardAlignCols: alignCols } = sizes
  return { transposed: false, tileRows, tileCols, alignCols, device, stream }
}

function backwardOptions({ sizes, device, stream }: Target): DevicePlanOptions {
  const { backwardRows: tileRows, backwardCols: tileCols } = sizes
  return { transposed: true, tileRows, tileCols, alignCols: true, device, stream }
}

/** Kernels move 16 bytes at a time. Tensors of ours always fit; memory of another library may not. */
function checkAligned(tensors: Readonly<Record<string, Tensor>>): void {
  for (const name in tensors) {
    const tensor = tensors[name]!
    if ((tensor.data_ptr() & 15n) === 0n) continue
    throw new ArgumentError({
      argument: name,
      expected: 'a tensor that begins at a multiple of 16 bytes',
      actual: `address 0x${tensor.data_ptr().toString(16)}`,
      hint: 'Pass a copy: .clone().',
    })
  }
}
