/**
 * Which pieces of memory go to which members of a group, and which pieces are filled by which member. What one member
 * sends to another, piece after piece, fills what that one receives from it; the pieces must agree in size.
 */
export class ExchangePlan {
  readonly #sends: bigint[] = []
  readonly #receives: bigint[] = []
  #numSends = 0
  #numReceives = 0

  send(address: bigint, bytes: number, destinations: readonly number[]): this {
    this.#sends.push(address, BigInt(bytes), BigInt(destinations.length))
    for (const destination of destinations) this.#sends.push(BigInt(destination))
    this.#numSends++
    return this
  }

  receive(source: number, address: bigint, bytes: number): this {
    this.#receives.push(BigInt(source), address, BigInt(bytes))
    this.#numReceives++
    return this
  }

  /** As the native library reads it. */
  encode(): BigInt64Array {
    const numbers = [BigInt(this.#numSends)].concat(this.#sends, BigInt(this.#numReceives), this.#receives)
    return BigInt64Array.from(numbers)
  }
}
