import { isMainThread } from 'node:worker_threads'
import type { Device } from '../device.js'
import { MemoryPool } from '../memory-pool.js'
import { messageBuffer, NativeStatus } from '../native/status.js'
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
    if (!isPooled(nbytes, home)) return new CudaMemory(nbytes, home, allocateOn(home, nbytes))
    const [address] = poolOf(home).allocate(nbytes)
    return new CudaMemory(nbytes, home, address)
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
    if (isPooled(this.nbytes, this.#home)) poolOf(home).recycle(this.#address, this.nbytes)
    else freeOn(home, this.#address)
  }
}

// The driver's own pool takes some microseconds a call, which small tensors notice. Blocks of the default stream are reused
// without asking it: in the order of that stream, which is never destroyed.
const maxPooledBlock = 16 << 20
const poolLimits = { alignment: 512, maxBytes: 128 << 20 } as const

/** By the number of the GPU. */
const pools = new Map<number, MemoryPool<bigint>>()

function isPooled(nbytes: number, home: StreamHandle): boolean {
  return home.isDefault && nbytes <= maxPooledBlock
}

function poolOf(home: StreamHandle): MemoryPool<bigint> {
  let pool = pools.get(home.device)
  if (pool === undefined) {
    pool = new MemoryPool({
      ...poolLimits,
      allocate: bytes => allocateOn(home, bytes),
      release: address => freeOn(home, address),
    })
    pools.set(home.device, pool)
  }
  return pool
}

const usedDevices = new Set<number>()

/** Numbers of the GPUs that this thread has taken memory of. */
export function devicesInUse(): ReadonlySet<number> {
  return usedDevices
}

/** Gives the blocks that are kept for reuse back to the driver's pools. */
export function clearPools(): void {
  for (const pool of pools.values()) pool.clear()
}

/**
 * Makes a native call that takes memory of a GPU, and where there is too little once more without the blocks that are kept here
 * for reuse, of which native code knows nothing. What it enqueues before it takes memory must bear to be done twice.
 *
 * @returns the status
 */
export function callWithMemory(device: number, call: () => number): number {
  const status = call()
  if (status !== NativeStatus.OUT_OF_MEMORY) return status
  clearPools()
  cudaLibrary().trim(device, ...message)
  return call()
}

// The end of the process takes all memory with it, the end of a worker thread does not: there, all that it holds is noted.
const held = new Map<bigint, StreamHandle>()

if (!isMainThread) {
  process.once('exit', () => {
    for (const [address, home] of held)
      freeOn(home.isDestroyed ? StreamHandle.default(home.device) : home, address)
  })
}

function allocateOn(home: StreamHandle, nbytes: number): bigint {
  const { device, address } = home
  const out = new BigUint64Array(1)
  const allocate = () => cudaLibrary().allocate(nbytes, out, device, address, ...message)
  checkCuda(callWithMemory(device, allocate), `a tensor of ${nbytes} bytes`, device)
  usedDevices.add(device)
  if (!isMainThread) held.set(out[0]!, home)
  return out[0]!
}

function freeOn(home: StreamHandle, address: bigint): void {
  held.delete(address)
  cudaLibrary().free(address, home.device, home.address, ...message)
}

export function allocateCuda(nbytes: number, device: number): Storage {
  return new Storage(CudaMemory.allocate(nbytes, device))
}
