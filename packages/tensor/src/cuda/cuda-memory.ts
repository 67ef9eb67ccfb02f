import type { Device } from '../device.js'
import { messageBuffer } from '../native/status.js'
import { Storage, type StorageMemory } from '../storage.js'
import { cudaLibrary } from './cuda-library.js'
import { checkCuda, ignoreDeviceError } from './operations.js'
import { currentHandle, StreamHandle } from './stream-handle.js'

const message = [messageBuffer, messageBuffer.length] as const

/**
 * A block of a GPU's memory. It is taken from the pool and goes back to it in the order of one stream, its home; other
 * streams that have worked on it are waited for first.
 */
export class CudaMemory implements StorageMemory {
  readonly isCollected = false
  readonly isShared = false
  readonly nbytes: number
  readonly #home: StreamHandle
  readonly #address: bigint
  readonly #visitors = new Set<StreamHandle>()

  private constructor(nbytes: number, home: StreamHandle, address: bigint) {
    this.nbytes = nbytes
    this.#home = home
    this.#address = address
  }

  /** @throws OutOfMemoryError */
  static allocate(nbytes: number, device: number): CudaMemory {
    const home = currentHandle(device)
    const out = new BigUint64Array(1)
    const status = cudaLibrary().allocate(nbytes, out, device, home.address, ...message)
    checkCuda(status, `a tensor of ${nbytes} bytes`, device)
    return new CudaMemory(nbytes, home, out[0]!)
  }

  get device(): Device {
    return `cuda:${this.#home.device}`
  }

  /** The caller uses it on the current stream. */
  address(): bigint {
    this.visit(currentHandle(this.#home.device))
    return this.#address
  }

  /** Notes that a stream, perhaps of another device, works on the memory. */
  visit(stream: StreamHandle): void {
    if (stream !== this.#home) this.#visitors.add(stream)
  }

  /** An error of the GPU surfaces at the next call that computes, not where memory is let go. */
  free(): void {
    const { device } = this.#home
    // A stream that was destroyed had been waited for.
    const home = this.#home.isDestroyed ? StreamHandle.default(device) : this.#home
    for (const visitor of this.#visitors) ignoreDeviceError(() => home.waitFor(visitor))
    cudaLibrary().free(this.#address, device, home.address, ...message)
  }
}

export function allocateCuda(nbytes: number, device: number): Storage {
  return new Storage(CudaMemory.allocate(nbytes, device))
}
