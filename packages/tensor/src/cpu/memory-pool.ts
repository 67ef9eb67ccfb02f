import { OutOfMemoryError } from '@magi-attention/common'
import koffi from 'koffi'

/** A block of CPU memory. `byteOffset` is where its first 64-byte boundary lies. */
export interface MemoryBlock {
  readonly buffer: ArrayBuffer
  readonly byteOffset: number
  readonly address: bigint
}

const alignment = 64
const maxPooledBytes = 1 << 30
const maxBlocksPerSize = 16

const free = new Map<number, MemoryBlock[]>()
let pooled = 0

/** Bytes that lie in the pool. */
export function pooledBytes(): number {
  return pooled
}

/** Gives the memory of the pool back to the system. */
export function empty_cache(): void {
  free.clear()
  pooled = 0
}

/**
 * Memory for `bytes` bytes. Blocks come from the pool if it has one of that size, since the page faults of fresh
 * memory cost more than most operations do.
 *
 * @returns the block, and whether it is known to hold zeros only
 * @throws OutOfMemoryError
 */
export function allocate(bytes: number): [block: MemoryBlock, isZero: boolean] {
  const size = roundUp(bytes)
  const reused = free.get(size)?.pop()
  if (reused !== undefined) {
    pooled -= size
    return [reused, false]
  }
  const buffer = allocateBuffer(size + alignment)
  const base = koffi.address(buffer)
  const byteOffset = Number(-base & BigInt(alignment - 1))
  return [{ buffer, byteOffset, address: base + BigInt(byteOffset) }, true]
}

/** Puts a block that nobody uses any more into the pool. Beyond the bounds, it is left to the garbage collector. */
export function recycle(block: MemoryBlock, bytes: number): void {
  const size = roundUp(bytes)
  if (size > maxPooledBytes) return
  // The sizes used longest ago are given up first: a program that changed its shapes will not ask for them again.
  for (const [oldSize, blocks] of free) {
    if (pooled + size <= maxPooledBytes) break
    pooled -= oldSize * blocks.length
    free.delete(oldSize)
  }
  const blocks = free.get(size) ?? []
  if (blocks.length >= maxBlocksPerSize) return
  free.delete(size)
  free.set(size, blocks)
  blocks.push(block)
  pooled += size
}

function roundUp(bytes: number): number {
  return Math.max(alignment, Math.ceil(bytes / alignment) * alignment)
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
    throw new OutOfMemoryError(
      `No memory for a tensor of ${bytes} bytes. Dispose of tensors, or use smaller ones.`,
      {
        cause,
      },
    )
  }
}
