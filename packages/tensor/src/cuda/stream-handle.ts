import { messageBuffer } from '../native/status.js'
import { cudaLibrary } from './cuda-library.js'
import { checkCuda, synchronizeStream } from './operations.js'

const message = [messageBuffer, messageBuffer.length] as const

/** A `cudaStream_t` of one device, shared by the `Stream` of the user and the memory that was taken on it. */
export class StreamHandle {
  /** Number of the GPU. */
  readonly device: number
  readonly address: bigint
  #isDestroyed = false

  private constructor(device: number, address: bigint) {
    this.device = device
    this.address = address
  }

  static create(device: number, priority: number): StreamHandle {
    const out = new BigUint64Array(1)
    checkCuda(cudaLibrary().streamCreate(priority, out, device, ...message), 'new Stream', device)
    const handle = new StreamHandle(device, out[0]!)
    collected.register(handle, { device, address: out[0]! }, handle)
    return handle
  }

  /** CUDA's legacy default stream. */
  static default(device: number): StreamHandle {
    const known = defaults.get(device) ?? new StreamHandle(device, 0n)
    defaults.set(device, known)
    return known
  }

  get isDefault(): boolean {
    return this.address === 0n
  }

  get isDestroyed(): boolean {
    return this.#isDestroyed
  }

  /** Work that is enqueued here from now on waits for all that has been enqueued there. */
  waitFor(other: StreamHandle): void {
    if (other === this || other.isDestroyed) return
    const library = cudaLibrary()
    const event = createEvent(other.device, false)
    try {
      checkCuda(
        library.eventRecord(event, other.device, other.address, ...message),
        'wait_stream',
        other.device,
      )
      checkCuda(
        library.streamWaitEvent(event, this.device, this.address, ...message),
        'wait_stream',
        this.device,
      )
    } finally {
      // CUDA keeps the event until the wait is over.
      library.eventDestroy(event, other.device, ...message)
    }
  }

  synchronize(): void {
    if (this.#isDestroyed) return
    synchronizeStream(this.device, this.address)
  }

  /** Waits for the stream and destroys it. */
  destroy(): void {
    if (this.isDefault || this.#isDestroyed) return
    this.synchronize()
    this.#isDestroyed = true
    collected.unregister(this)
    if (current.get(this.device) === this) current.delete(this.device)
    destroyStream(this)
  }
}

const defaults = new Map<number, StreamHandle>()
const current = new Map<number, StreamHandle>()

function destroyStream({ device, address }: { device: number; address: bigint }): void {
  // An error of the GPU surfaces at the next call that computes.
  cudaLibrary().streamDestroy(device, address, ...message)
}

/** The net under streams that nobody disposed of, and no memory refers to. */
const collected = new FinalizationRegistry<{ device: number; address: bigint }>(destroyStream)

export function createEvent(device: number, enableTiming: boolean): bigint {
  const out = new BigUint64Array(1)
  checkCuda(cudaLibrary().eventCreate(Number(enableTiming), out, device, ...message), 'new Event', device)
  return out[0]!
}

/** The stream that operations of a device are enqueued on. */
export function currentHandle(device: number): StreamHandle {
  return current.get(device) ?? StreamHandle.default(device)
}

/** @returns the stream that was current before */
export function setCurrentHandle(handle: StreamHandle): StreamHandle {
  const before = currentHandle(handle.device)
  // One that was current before something ran may have been destroyed meanwhile.
  if (handle.isDestroyed) current.delete(handle.device)
  else current.set(handle.device, handle)
  return before
}
