import { ArgumentError } from '@magi-attention/common'
import koffi from 'koffi'
import { allocate, type MemoryBlock, pooledBytes, recycle } from './cpu/memory-pool.js'
import type { Device } from './device.js'

/** What `memory()` reports. */
export interface MemoryInfo {
  /** Tensor handles that are neither disposed nor collected. */
  readonly tensors: number
  /** Bytes of live storages. Views share one storage; what the tape saved counts as well. */
  readonly bytes: number
  /** Bytes of freed storages that are kept for reuse. */
  readonly pooled_bytes: number
}

/** The counts of a storage, apart from its memory so that the collector's net does not hold the memory itself. */
interface StorageRecord {
  references: number
  readonly bytes: number
}

let liveTensors = 0
let liveBytes = 0

/**
 * A counted block of memory that tensors view. Each holder takes a reference with `retain` and gives it back with
 * `release`; the last one returns the memory to the pool.
 */
export class Storage {
  readonly device: Device = 'cpu'
  readonly nbytes: number
  /** Counts writes, so that the tape notices when a saved tensor was overwritten. */
  version = 0
  /** Known to hold zeros: freshly allocated and never written. */
  readonly isZero: boolean
  readonly #block: MemoryBlock
  readonly #record: StorageRecord
  /** The memory may be seen from outside and must not be reused. */
  #isShared: boolean

  private constructor(block: MemoryBlock, nbytes: number, isZero: boolean, isShared: boolean) {
    this.nbytes = nbytes
    this.isZero = isZero
    this.#block = block
    this.#isShared = isShared
    this.#record = { references: 0, bytes: nbytes }
    liveBytes += nbytes
  }

  /** @throws OutOfMemoryError */
  static allocate(nbytes: number): Storage {
    const [block, isZero] = allocate(nbytes)
    return new Storage(block, nbytes, isZero, false)
  }

  /** Borrows memory of the caller. */
  static wrap(array: ArrayBufferView): Storage {
    const buffer = array.buffer as ArrayBuffer
    const address = array.byteLength === 0 ? 0n : koffi.address(array)
    return new Storage({ buffer, byteOffset: array.byteOffset, address }, array.byteLength, false, true)
  }

  /** True while one holder has the memory to itself and nobody outside can see it. */
  get isExclusive(): boolean {
    return this.#record.references === 1 && !this.#isShared
  }

  /** @throws ArgumentError if the memory was transferred to another thread */
  address(): bigint {
    this.#assertAttached()
    return this.#block.address
  }

  /** The memory itself, for internal use: it must not be kept. */
  bytes(byteOffset = 0, length: number = this.nbytes - byteOffset): Uint8Array {
    this.#assertAttached()
    return new Uint8Array(this.#block.buffer, this.#block.byteOffset + byteOffset, length)
  }

  /** The memory for use outside of this package: from now on it is never reused for another tensor. */
  share(): { buffer: ArrayBuffer; byteOffset: number } {
    this.#assertAttached()
    this.#isShared = true
    return this.#block
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

  /** Takes a reference for `holder`, which the garbage collector watches. */
  retain(holder: object): void {
    this.#record.references++
    collected.register(holder, this.#record, holder)
  }

  /** Gives the reference of `holder` back. */
  release(holder: object): void {
    collected.unregister(holder)
    if (dropReference(this.#record) && !this.#isShared) recycle(this.#block, this.nbytes)
  }
}

function dropReference(record: StorageRecord): boolean {
  record.references--
  if (record.references > 0) return false
  liveBytes -= record.bytes
  return true
}

/** The net under holders that were never released: their memory went with them, the counts are put right here. */
const collected = new FinalizationRegistry<StorageRecord>(dropReference)
const collectedTensors = new FinalizationRegistry<undefined>(() => {
  liveTensors--
})

export function countTensor(tensor: object): void {
  liveTensors++
  collectedTensors.register(tensor, undefined, tensor)
}

export function uncountTensor(tensor: object): void {
  liveTensors--
  collectedTensors.unregister(tensor)
}

/**
 * Live tensors and memory of this thread.
 *
 * Memory goes back when a tensor is disposed (`using`, `dispose()`, `tidy`, a `TensorScope`), and what the tape saved
 * when `backward()` has run. A tensor that is merely dropped is counted until the garbage collector has found it, which
 * needs a turn of the event loop.
 */
export function memory(): MemoryInfo {
  return { tensors: liveTensors, bytes: liveBytes, pooled_bytes: pooledBytes() }
}
