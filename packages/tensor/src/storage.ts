import { DeviceError } from '@magi-attention/common'
import { allocateHost, HostMemory, pooledBytes, wrapHost } from './cpu/host-memory.js'
import type { Device } from './device.js'

/** What `memory()` reports. */
export interface MemoryInfo {
  /** Tensor handles that are neither disposed nor collected. */
  readonly tensors: number
  /** Bytes of live storages on all devices. Views share one storage; what the tape saved counts as well. */
  readonly bytes: number
  /** Bytes of freed CPU storages that are kept for reuse. */
  readonly pooled_bytes: number
}

/** The memory behind a storage. */
export interface StorageMemory {
  readonly device: Device
  readonly nbytes: number
  /** Whether the garbage collector frees the memory. What it does not, it tells to `free`. */
  readonly isCollected: boolean
  /** The memory may be seen from outside, and outlive its holders. */
  readonly isShared: boolean
  /** Where the memory begins, for a native call that the caller makes now. */
  address(): bigint
  /** Called once, when nobody holds the memory any more. */
  free(): void
}

/** The counts of a storage, apart from its memory so that the collector's net does not hold what the collector frees. */
interface StorageRecord {
  references: number
  readonly bytes: number
  readonly device: Device
  /** Memory that the net itself has to free. */
  readonly uncollected: StorageMemory | null
}

let liveTensors = 0
const liveBytes = new Map<Device, number>()

/**
 * A counted block of memory that tensors view. Each holder takes a reference with `retain` and gives it back with
 * `release`; the last one frees the memory.
 */
export class Storage {
  /** Counts writes, so that the tape notices when a saved tensor was overwritten. */
  version = 0
  /** Known to hold zeros: freshly allocated and never written. */
  readonly isZero: boolean
  readonly #memory: StorageMemory
  readonly #record: StorageRecord

  constructor(memory: StorageMemory, isZero = false) {
    const { nbytes, device, isCollected } = memory
    this.isZero = isZero
    this.#memory = memory
    this.#record = { references: 0, bytes: nbytes, device, uncollected: isCollected ? null : memory }
    countBytes(device, nbytes)
  }

  /**
   * Memory of the CPU.
   * @throws OutOfMemoryError
   */
  static allocate(nbytes: number): Storage {
    return new Storage(...allocateHost(nbytes))
  }

  /** Borrows memory of the caller. */
  static wrap(array: ArrayBufferView): Storage {
    return new Storage(wrapHost(array))
  }

  get device(): Device {
    return this.#memory.device
  }

  get nbytes(): number {
    return this.#memory.nbytes
  }

  /** What lies behind, for the code of one device. */
  get memory(): StorageMemory {
    return this.#memory
  }

  /** True while one holder has the memory to itself and nobody outside can see it. */
  get isExclusive(): boolean {
    return this.#record.references === 1 && !this.#memory.isShared
  }

  /** @throws ArgumentError if the memory was transferred to another thread */
  address(): bigint {
    return this.#memory.address()
  }

  /** The memory of a CPU tensor, for internal use: it must not be kept. */
  bytes(byteOffset = 0, length: number = this.nbytes - byteOffset): Uint8Array {
    return this.#host.bytes(byteOffset, length)
  }

  /** The memory of a CPU tensor for use outside of this package: it is never reused for another tensor. */
  share(): { buffer: ArrayBuffer; byteOffset: number } {
    return this.#host.share()
  }

  get #host(): HostMemory {
    if (this.#memory instanceof HostMemory) return this.#memory
    throw new DeviceError({
      argument: 'tensor',
      expected: 'a CPU tensor, whose memory JavaScript can see',
      actual: this.device,
      hint: "Copy the data with to_typed_array() or to('cpu').",
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
    if (dropReference(this.#record)) this.#memory.free()
  }
}

function dropReference(record: StorageRecord): boolean {
  record.references--
  if (record.references > 0) return false
  countBytes(record.device, -record.bytes)
  return true
}

function countBytes(device: Device, bytes: number): void {
  liveBytes.set(device, liveBytesOn(device) + bytes)
}

/** Bytes of live storages of one device. */
export function liveBytesOn(device: Device): number {
  return liveBytes.get(device) ?? 0
}

/**
 * The net under holders that were never released. CPU memory went with them, and the counts are put right here; that
 * of other devices is freed here.
 */
const collected = new FinalizationRegistry<StorageRecord>(record => {
  if (dropReference(record)) record.uncollected?.free()
})
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
  const bytes = [...liveBytes.values()].reduce((sum, value) => sum + value, 0)
  return { tensors: liveTensors, bytes, pooled_bytes: pooledBytes() }
}
