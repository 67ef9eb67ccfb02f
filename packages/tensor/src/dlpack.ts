import { deviceIndex } from './cuda/devices.js'
import { dtypeInfo } from './dtype.js'
import type { Tensor } from './tensor.js'

/**
 * A tensor's memory in the terms of the DLPack standard (dlpack.h), as a plain object: JavaScript has no DLPack
 * exchange of its own.
 */
export interface DLPackDescriptor {
  /** Address of the storage. */
  readonly ptr: bigint
  /** `type` 1 is the CPU, 2 is CUDA. */
  readonly device: { readonly type: number; readonly id: number }
  /** `code` 0 is a signed integer, 2 an IEEE float, 4 a bfloat. */
  readonly dtype: { readonly code: number; readonly bits: number; readonly lanes: number }
  readonly shape: readonly number[]
  /** In elements. */
  readonly strides: readonly number[]
  /** Bytes from `ptr` to the first element. */
  readonly byteOffset: number
  /**
   * Gives the memory back. The taker calls it once, and keeps this object until then; the memory stays as long,
   * whatever becomes of the tensor.
   */
  release(): void
}

export function exportDLPack(tensor: Tensor): DLPackDescriptor {
  const storage = tensor._storage
  const { itemsize, dlpackCode } = dtypeInfo(tensor.dtype)
  let isReleased = false
  const holder: DLPackDescriptor = {
    ptr: storage.address(),
    device: tensor.device === 'cpu' ? { type: 1, id: 0 } : { type: 2, id: deviceIndex(tensor.device) },
    dtype: { code: dlpackCode, bits: itemsize * 8, lanes: 1 },
    shape: tensor.shape,
    strides: tensor.strides,
    byteOffset: tensor.storage_offset() * itemsize,
    release() {
      if (!isReleased) storage.release(holder)
      isReleased = true
    },
  }
  storage.retain(holder)
  return holder
}
