import { AutogradError } from '@magi-attention/common'
import type { Storage } from '../storage.js'
import { Tensor } from '../tensor.js'

/** A tensor that backward will need. It holds the memory itself, whatever becomes of the handle it was made from. */
export class SavedTensor {
  readonly #storage: Storage
  readonly #template: Pick<Tensor, 'shape' | 'dtype'> & { offset: number }
  readonly #version: number

  constructor(tensor: Tensor) {
    this.#storage = tensor._storage
    this.#template = { shape: tensor.shape, dtype: tensor.dtype, offset: tensor.storage_offset() }
    this.#version = this.#storage.version
    this.#storage.retain(this)
  }

  /** @throws AutogradError if the memory was written since */
  unpack(functionName: string): Tensor {
    const { shape, dtype, offset } = this.#template
    if (this.#storage.version !== this.#version) {
      throw new AutogradError(
        `A tensor of shape [${shape.join(', ')}] that "${functionName}" saved for backward was overwritten in place ` +
          `(version ${this.#storage.version}, saved at ${this.#version}). Write into a clone() instead.`,
      )
    }
    return Tensor._make(this.#storage, offset, shape, dtype)
  }

  release(): void {
    this.#storage.release(this)
  }
}
