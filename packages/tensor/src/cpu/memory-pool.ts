/** A block of host memory. `byteOffset` is where its first 64-byte boundary lies. */
export interface MemoryBlock {
  readonly buffer: ArrayBuffer
  readonly byteOffset: number
  readonly address: bigint
}

const alignment = 64
const maxPooledBytes = 1 << 30
const maxBlocksPerSize = 16

/** Keeps freed blocks of host memory for reuse, since fresh memory costs more than most operations do. */
export class MemoryPool {
  readonly #allocateBlock: (bytes: number) => MemoryBlock
  readonly #free = new Map<number, MemoryBlock[]>()
  #pooled = 0

  /** @param allocateBlock gets fresh memory that begins on a 64-byte boundary; throws OutOfMemoryError */
  constructor(allocateBlock: (bytes: number) => MemoryBlock) {
    this.#allocateBlock = allocateBlock
  }

  /** Bytes that lie in the pool. */
  get pooledBytes(): number {
    return this.#pooled
  }

  /** Forgets all blocks; their memory goes back to the system with the garbage collector. */
  clear(): void {
    this.#free.clear()
    this.#pooled = 0
  }

  /**
   * Memory for `bytes` bytes, from the pool if it has a block of that size.
   *
   * @returns the block, and whether it is fresh
   * @throws OutOfMemoryError
   */
  allocate(bytes: number): [block: MemoryBlock, isFresh: boolean] {
    const size = roundUp(bytes)
    const reused = this.#free.get(size)?.pop()
    if (reused !== undefined) {
      this.#pooled -= size
      return [reused, false]
    }
    return [this.#allocateBlock(size), true]
  }

  /** Puts a block that nobody uses any more into the pool. Beyond the bounds, it is left to the garbage collector. */
  recycle(block: MemoryBlock, bytes: number): void {
    const size = roundUp(bytes)
    if (size > maxPooledBytes) return
    // The sizes used longest ago are given up first: a program that changed its shapes will not ask for them again.
    for (const [oldSize, blocks] of this.#free) {
      if (this.#pooled + size <= maxPooledBytes) break
      this.#pooled -= oldSize * blocks.length
      this.#free.delete(oldSize)
    }
    const blocks = this.#free.get(size) ?? []
    if (blocks.length >= maxBlocksPerSize) return
    this.#free.delete(size)
    this.#free.set(size, blocks)
    blocks.push(block)
    this.#pooled += size
  }
}

function roundUp(bytes: number): number {
  return Math.max(alignment, Math.ceil(bytes / alignment) * alignment)
}
