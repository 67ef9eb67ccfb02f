import type { Device, DType, Tensor } from '@magi-attention/tensor'
import { newEmpty } from '@magi-attention/tensor/internal'

/** Makes a tensor for native code to fill. */
export type MakeResult = (shape: readonly number[], dtype: DType) => Tensor

/**
 * Runs `body`, which makes the results of a call. If it throws, they are freed at once: after OutOfMemoryError the caller needs
 * their memory before the garbage collector has found them.
 */
export function makeResults<T>(device: Device, body: (make: MakeResult) => T): T {
  const results: Tensor[] = []
  try {
    return body((shape, dtype) => {
      const result = newEmpty(shape, dtype, device)
      results.push(result)
      return result
    })
  } catch (error) {
    for (const result of results) result.dispose()
    throw error
  }
}
