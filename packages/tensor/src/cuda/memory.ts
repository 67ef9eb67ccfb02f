import { messageBuffer } from '../native/status.js'
import { liveBytesOn } from '../storage.js'
import { cudaLibrary, MemoryStruct } from './cuda-library.js'
import { clearPools, devicesInUse } from './cuda-memory.js'
import { type CudaDeviceLike, parseCudaDevice } from './devices.js'
import { checkCuda } from './operations.js'

const message = [messageBuffer, messageBuffer.length] as const

function readMemory(device: CudaDeviceLike | undefined) {
  const index = parseCudaDevice(device)
  const bytes = MemoryStruct.pack({ free_bytes: 0, total_bytes: 0, reserved_bytes: 0, used_bytes: 0 })
  checkCuda(cudaLibrary().getMemory(index, bytes, ...message), 'memory', index)
  return MemoryStruct.unpack(bytes)
}

/** Bytes that live tensors of this thread have on a device. */
export function memory_allocated(device?: CudaDeviceLike): number {
  return liveBytesOn(`cuda:${parseCudaDevice(device)}`)
}

/** Bytes that the process's memory pool on a device holds, in use or for reuse. */
export function memory_reserved(device?: CudaDeviceLike): number {
  return readMemory(device).reserved_bytes
}

/** Bytes of the whole GPU: those that nobody has, and all. */
export function mem_get_info(device?: CudaDeviceLike): [free: number, total: number] {
  const { free_bytes, total_bytes } = readMemory(device)
  return [free_bytes, total_bytes]
}

/** Gives the freed memory that is kept for reuse back to the devices that this thread used. Waits for them. */
export function empty_cache(): void {
  clearPools()
  // Not to the others of the machine: to ask one for memory back takes some hundred megabytes of it.
  for (const index of devicesInUse()) {
    checkCuda(cudaLibrary().trim(index, ...message), 'empty_cache', index)
  }
}
