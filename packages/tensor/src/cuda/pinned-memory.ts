import { markAsUntransferable } from 'node:worker_threads'
import koffi from 'koffi'
import { HostMemory, hostPoolLimits, type MemoryBlock } from '../cpu/host-memory.js'
import { MemoryPool } from '../memory-pool.js'
import { messageBuffer } from '../native/status.js'
import { Storage } from '../storage.js'
import type { Tensor } from '../tensor.js'
import { cudaLibrary } from './cuda-library.js'
import { parseCudaDevice } from './devices.js'
import { checkCuda, ignoreDeviceError } from './operations.js'
import type { StreamHandle } from './stream-handle.js'

const message = [messageBuffer, messageBuffer.length] as const

const pool = new MemoryPool({ ...hostPoolLimits, allocate: allocateBlock })

/** The streams that may still read or write a block while the program goes on. */
type Visitors = Set<StreamHandle>

/** By the buffer of the block. */
const blockVisitors = new WeakMap<ArrayBufferLike, Visitors>()

/** The memory of a block goes when no array can see its buffer any more. */
const collected = new FinalizationRegistry<{ address: bigint; visitors: Visitors }>(
  ({ address, visitors }) => {
    awaitVisitors(visitors)
    cudaLibrary().freeHost(address, ...message)
  },
)

function awaitVisitors(visitors: Visitors): void {
  for (const stream of visitors) ignoreDeviceError(() => stream.synchronize())
  visitors.clear()
}

/**
 * Where to note the streams that go on using the page-locked memory behind a CPU tensor; undefined for other memory. A tensor
 * on a typed array has such memory, too, if the array is a view of a pinned tensor.
 */
export function pinnedVisitors({ _storage: storage }: Tensor): Visitors | undefined {
  return blockVisitors.get(storage.bytes(0, 0).buffer)
}

function allocateBlock(bytes: number): MemoryBlock {
  const out = new BigUint64Array(1)
  checkCuda(cudaLibrary().allocateHost(bytes, out, ...message), `pinned memory of ${bytes} bytes`, 0)
  const address = out[0]!
  const buffer = koffi.view(address, bytes)
  // Another thread's buffer would outlive this one, and with it the memory.
  markAsUntransferable(buffer)
  const visitors: Visitors = new Set()
  blockVisitors.set(buffer, visitors)
  collected.register(buffer, { address, visitors })
  return { buffer, byteOffset: 0, address }
}

/** Page-locked memory of the host, which GPUs reach without a detour and while the program goes on. */
export class PinnedMemory extends HostMemory {
  override free(): void {
    const visitors = blockVisitors.get(this.bytes(0, 0).buffer)
    if (visitors !== undefined) awaitVisitors(visitors)
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
