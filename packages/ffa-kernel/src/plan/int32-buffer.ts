/** A list of 32-bit integers that grows. */
export class Int32Buffer {
  length = 0
  #data: Int32Array<ArrayBuffer>

  constructor(capacity: number) {
    this.#data = new Int32Array(Math.max(capacity, 16))
  }

  push(value: number): void {
    if (this.length === this.#data.length) {
      const grown = new Int32Array(2 * this.#data.length)
      grown.set(this.#data)
      this.#data = grown
    }
    this.#data[this.length++] = value
  }

  toInt32Array(): Int32Array {
    return this.#data.slice(0, this.length)
  }
}
