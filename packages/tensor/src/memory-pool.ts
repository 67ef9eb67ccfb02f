const maxBlocksPerSize = 16

export interface MemoryPoolOptions<Block> {
  /** Gets a fresh block. Throws OutOfMemoryError. */
  readonly allocate: (bytes: number) => Block
  /** Gives back a block that the pool does not keep. Default: leaves it to the garbage collector. */
  readonly release?: (block: Block) => void
  /** Sizes are rounded up to a multiple of it. */
  readonly alignment: number
  /** Most bytes that the pool keeps. */
  readonly maxBytes: number
}

/** Keeps freed blocks of memory for reuse, since fresh memory costs more than most operations do. */
export class MemoryPool<Block> {
  readonly #options: MemoryPoolOptions<Block>
  readonly #free = new Map<number, Block[]>()
  #pooled = 0

  constructor(options: MemoryPoolOptions<Block>) {
    this.#options = options
  }

  /** Bytes that lie in the pool. */
  get pooledBytes(): number {
    return this.#pooled
  }

  /** Gives up all blocks. */
  clear(): void {
    this.#shrinkTo(0)
  }

  /**
   * Memory for `bytes` bytes, from the pool if it has a block of that size.
   *
   * @returns the block, and whether it is fresh
   * @throws OutOfMemoryError
   */
  allocate(bytes: number): [block: Block, isFresh: boolean] {
    const size = this.#roundUp(bytes)
    const reused = this.#free.get(size)?.pop()
    if (reused !== undefined) {
      this.#pooled -= size
      return [reused, false]
    }
    return [this.#options.allocate(size), true]
  }

  /** Takes a block that nobody uses any more. Beyond the bounds it is given up. */
  recycle(block: Block, bytes: number): void {
    const size = this.#roundUp(bytes)
    const { maxBytes, release } = this.#options
    if (size <= maxBytes) this.#shrinkTo(maxBytes - size)
    const blocks = this.#free.get(size) ?? []
    if (size > maxBytes || blocks.length >= maxBlocksPerSize) {
      release?.(block)
      return
    }
    this.#free.delete(size)
    this.#free.set(size, blocks)
    blocks.push(block)
    this.#pooled += size
  }

  /** The sizes used longest ago are given up first: a program that changed its shapes will not ask for them again. */
  #shrinkTo(bytes: number): void {
    const { release } = this.#options
    for (const [size, blocks] of this.#free) {
      if (this.#pooled <= bytes) return
      this.#pooled -= size * blocks.length
      this.#free.delete(size)
      if (release !== undefined) for (const block of blocks) release(block)
    }
  }

  #roundUp(bytes: number): number {
    const { alignment } = this.#options
    return Math.max(alignment, Math.ceil(bytes / alignment) * alignment)
  }
}
