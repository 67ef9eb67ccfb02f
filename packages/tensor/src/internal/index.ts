/**
 * What the packages of magi-attention share with each other. Not part of the public interface: it may change with any
 * version.
 */
import { deviceIndex } from '../cuda/devices.js'
import { currentHandle } from '../cuda/stream-handle.js'
import type { Device } from '../device.js'
import { type DType, dtypeInfo } from '../dtype.js'
import { emptyTensor } from '../factory.js'
import type { Shape } from '../shape.js'
import type { Tensor } from '../tensor.js'

export { assertTensor, type TensorRequirements } from '../check.js'
export { callWithMemory } from '../cuda/cuda-memory.js'
export { deviceIndex } from '../cuda/devices.js'
export { type CudaReport, type InspectedDevice, inspectCuda } from '../cuda/inspect.js'
export { checkCuda, recordOperation } from '../cuda/operations.js'
export { parseDevice } from '../device.js'
export { assertDType, isDType, isFloatDType } from '../dtype.js'
export { assertInteger, assertShape, normalizeDim, numelOf, sameShape } from '../shape.js'
export { num_threads } from '../threads.js'

/** The number of a dtype in the C ABI (MagiDType in abi.h). */
export function dtypeCode(dtype: DType): number {
  return dtypeInfo(dtype).code
}

/** Bytes of one element. */
export function dtypeSize(dtype: DType): number {
  return dtypeInfo(dtype).itemsize
}

/** An uninitialised tensor without history, for native code to fill. */
export function newEmpty(shape: Shape, dtype: DType, device: Device = 'cpu'): Tensor {
  return emptyTensor(shape, dtype, device)
}

/**
 * The `cudaStream_t` that work on a GPU is enqueued on, 0n for the default stream.
 *
 * Native code that computes on it is called through `callWithMemory`. Behind it come `checkCuda`, which turns the status into
 * an error, and `recordOperation`, which lets a later error name the operation.
 *
 * @param device a CUDA device: `tensor.device`
 */
export function currentStream(device: Device): bigint {
  return currentHandle(deviceIndex(device)).address
}

/** Tells the tape that native code has overwritten a tensor. */
export function markWritten(tensor: Tensor): void {
  tensor._storage.version++
}

/** Numbers of storages, given when they are first asked for. */
const storageIds = new WeakMap<object, number>()
let numStorageIds = 0

/** Which memory a tensor views, by a number that no other storage ever gets, and how often it was written. */
export function storageIdentity(tensor: Tensor): { readonly id: number; readonly version: number } {
  const storage = tensor._storage
  let id = storageIds.get(storage)
  if (id === undefined) {
    id = ++numStorageIds
    storageIds.set(storage, id)
  }
  return { id, version: storage.version }
}
