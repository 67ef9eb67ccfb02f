import { markAsUntransferable } from 'node:worker_threads'
import koffi from 'koffi'
import { HostMemory, hostPoolLimits, type MemoryBlock } from '../cpu/host-memory.js'
import { MemoryPool } from '../memory-pool.js'
import { messageBuffer } from '../native/status.js'
import { Storage } from '../storage.js'
import { cudaLibrary } from './cuda-library.js'
import { parseCudaDevice } from './devices.js'
import { checkCuda, ignoreDeviceError } from './operations.js'
import type { StreamHandle } from './stream-handle.js'

const message = [messageBuffer, messageBuffer.length] as const

const pool = new MemoryPool({ ...hostPoolLimits, allocate: allocateBlock })

/** The memory of a block goes when no array can see its buffer any more. */
const collected = new FinalizationRegistry<bigint>(address => {
  cudaLibrary().freeHost(address, ...message)
})

function allocateBlock(bytes: number): MemoryBlock {
  const out = new BigUint64Array(1)
  checkCuda(cudaLibrary().allocateHost(bytes, out, ...message), `pinned memory of ${bytes} bytes`, 0)
  const address = out[0]!
  const buffer = koffi.view(address, bytes)
  // Another thread's buffer would outlive this one, and with it the memory.
  markAsUntransferable(buffer)
  collected.register(buffer, address)
  return { buffer, byteOffset: 0, address }
}

/** Page-locked memory of the host, which GPUs reach without a detour and while the program goes on. */
export class PinnedMemory extends HostMemory {
  readonly #streams = new Set<StreamHandle>()

  /** Notes that a stream reads or writes the memory while the program goes on. */
  visit(stream: StreamHandle): void {
    this.#streams.add(stream)
  }

  override free(): void {
    for (const stream of this.#streams) ignoreDeviceError(() => stream.synchronize())
    super.free()
  }
}

/**
 * Page-locked memory for a CPU tensor.
 * @throws DeviceError without a GPU, OutOfMemoryError
 */
export function allocatePinned(nbytes: number): Storage {
  parseCudaDevice()
  const [block] = pool.allocate(nbytes)
  return new Storage(new PinnedMemory(block, nbytes, pool))
}
