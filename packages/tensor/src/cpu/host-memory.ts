import { ArgumentError, OutOfMemoryError } from '@magi-attention/common'
import koffi from 'koffi'
import { MemoryPool } from '../memory-pool.js'
import type { StorageMemory } from '../storage.js'

/** A block of host memory. `byteOffset` is where its first 64-byte boundary lies. */
export interface MemoryBlock {
  readonly buffer: ArrayBuffer
  readonly byteOffset: number
  readonly address: bigint
}

/** Sizes and bounds of the pools of host memory. */
export const hostPoolLimits = { alignment: 64, maxBytes: 1 << 30 } as const

/** Memory of the host, which typed arrays can view. */
export class HostMemory implements StorageMemory {
  readonly device = 'cpu'
  /** The garbage collector takes the memory together with its last holder. */
  readonly isCollected = true
  readonly nbytes: number
  readonly #block: MemoryBlock
  /** Where the block goes in the end; null for memory of the caller. */
  readonly #pool: MemoryPool<MemoryBlock> | null
  #isShared: boolean

  constructor(block: MemoryBlock, nbytes: number, pool: MemoryPool<MemoryBlock> | null) {
    this.nbytes = nbytes
    this.#block = block
    this.#pool = pool
    this.#isShared = pool === null
  }

  /** The memory may be seen from outside and must not be reused. */
  get isShared(): boolean {
    return this.#isShared
  }

  /** @throws ArgumentError if the memory was transferred to another thread */
  address(): bigint {
    this.#assertAttached()
    return this.#block.address
  }

  /** The memory itself, for internal use: it must not be kept. */
  bytes(byteOffset: number, length: number): Uint8Array {
    this.#assertAttached()
    return new Uint8Array(this.#block.buffer, this.#block.byteOffset + byteOffset, length)
  }

  /** The memory for use outside of this package: from now on it is never reused for another tensor. */
  share(): { buffer: ArrayBuffer; byteOffset: number } {
    this.#assertAttached()
    this.#isShared = true
    return this.#block
  }

  free(): void {
    if (!this.#isShared) this.#pool?.recycle(this.#block, this.nbytes)
  }

  #assertAttached(): void {
    if (this.#block.buffer.byteLength >= this.#block.byteOffset + this.nbytes) return
    throw new ArgumentError({
      argument: 'tensor',
      expected: 'memory that belongs to this thread',
      actual: 'a buffer that was transferred or resized',
      hint: 'Copy the data with to_typed_array() before handing it on.',
    })
  }
}

const pool = new MemoryPool({ ...hostPoolLimits, allocate: allocateBlock })

function allocateBlock(bytes: number): MemoryBlock {
  const { alignment } = hostPoolLimits
  const buffer = allocateBuffer(bytes + alignment)
  const base = koffi.address(buffer)
  const byteOffset = Number(-base & BigInt(alignment - 1))
  return { buffer, byteOffset, address: base + BigInt(byteOffset) }
}

function allocateBuffer(bytes: number): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes)
  } catch {
    empty_cache()
  }
  try {
    return new ArrayBuffer(bytes)
  } catch (cause) {
    const message = `No memory for a tensor of ${bytes} bytes. Dispose of tensors, or use smaller ones.`
    throw new OutOfMemoryError(message, { cause })
  }
}

/**
 * Memory for a CPU tensor.
 * @returns the memory, and whether it is known to hold zeros only
 * @throws OutOfMemoryError
 */
export function allocateHost(nbytes: number): [memory: HostMemory, isZero: boolean] {
  const [block, isFresh] = pool.allocate(nbytes)
  return [new HostMemory(block, nbytes, pool), isFresh]
}

/** Borrows memory of the caller. */
export function wrapHost(array: ArrayBufferView): HostMemory {
  const buffer = array.buffer as ArrayBuffer
  const address = array.byteLength === 0 ? 0n : koffi.address(array)
  return new HostMemory({ buffer, byteOffset: array.byteOffset, address }, array.byteLength, null)
}

/** Bytes of freed CPU memory that are kept for reuse. */
export function pooledBytes(): number {
  return pool.pooledBytes
}

/** Gives freed CPU memory that is kept for reuse back to the system. For GPUs: `cuda.empty_cache`. */
export function empty_cache(): void {
  pool.clear()
}
