import type { Tensor } from '@magi-attention/tensor'
import { storageIdentity } from '@magi-attention/tensor/internal'
import type { DeviceSlices } from '../mask/device-slices.js'
import type { NativePlan } from './native-plan.js'

/** Most plans kept. */
const MAX_ENTRIES = 64

/** Most bytes kept on GPUs. */
const MAX_BYTES = 256 * 2 ** 20

/**
 * Plans that were made on a GPU, by the identity of their slices: nobody looks at the values. A tensor that was written since
 * has another version, and is planned anew. The least recently used ones leave, and their memory is freed.
 */
export class DevicePlanCache {
  readonly #plans = new Map<string, NativePlan>()
  #bytes = 0

  /** The plan under this key, or the one that `make` makes. */
  get(key: string, make: () => NativePlan): NativePlan {
    let plan = this.#plans.get(key)
    if (plan === undefined) {
      plan = make()
      this.#bytes += bytesOf(plan)
    } else {
      this.#plans.delete(key)
    }
    this.#plans.set(key, plan)
    for (const oldest of this.#plans.keys()) {
      if (oldest === key || (this.#plans.size <= MAX_ENTRIES && this.#bytes <= MAX_BYTES)) break
      this.#remove(oldest)
    }
    return plan
  }

  clear(): void {
    for (const key of [...this.#plans.keys()]) this.#remove(key)
  }

  #remove(key: string): void {
    const plan = this.#plans.get(key)!
    this.#plans.delete(key)
    this.#bytes -= bytesOf(plan)
    // Kernels that still run with it come before the next use of the memory.
    plan.memory?.dispose()
  }
}

function bytesOf({ memory }: NativePlan): number {
  return memory === null ? 0 : 4 * memory.numel()
}

/** What tells the slices of a call from those of any other. */
export function slicesKey({ qRanges, kRanges, attnTypeMap }: DeviceSlices): string {
  const types = ArrayBuffer.isView(attnTypeMap)
    ? codesKey(attnTypeMap)
    : attnTypeMap && tensorKey(attnTypeMap)
  return `${tensorKey(qRanges)} ${tensorKey(kRanges)} ${types} ${qRanges.shape[0]}`
}

/** A character for each code: the key is made at each call, and numbers would take long to print. */
function codesKey(codes: Int32Array): string {
  return Buffer.from(codes).toString('latin1')
}

function tensorKey(tensor: Tensor): string {
  const { id, version } = storageIdentity(tensor)
  return `${id}.${version}.${tensor.storage_offset()}`
}
