/**
 * What the packages of magi-attention share with each other. Not part of the public interface: it may change with any
 * version.
 */
import type { Device } from '../device.js'
import { type DType, dtypeInfo } from '../dtype.js'
import { emptyTensor } from '../factory.js'
import type { Shape } from '../shape.js'
import type { Tensor } from '../tensor.js'

export { assertTensor, type TensorRequirements } from '../check.js'
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

/** Tells the tape that native code has overwritten a tensor. */
export function markWritten(tensor: Tensor): void {
  tensor._storage.version++
}
