const RANGE = 2 ** 31

/**
 * Uniform pseudorandom numbers (mulberry32 by Tommy Ettinger). All arithmetic is exact, so that every rank
 * draws the same numbers on any engine.
 */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed | 0
  }

  /** A number in `[0, 1)`. */
  next(): number {
    return this.bits() / RANGE
  }

  /** An integer in `[0, bound)`. */
  below(bound: number): number {
    return Math.floor((this.bits() * bound) / RANGE)
  }

  /** 31 bits: what V8 keeps without a heap allocation. */
  private bits(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let bits = Math.imul(this.state ^ (this.state >>> 15), this.state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return (bits ^ (bits >>> 14)) >>> 1
  }
}
