import type { Tensor } from '@magi-attention/tensor'

/** The elements of an int32 or int64 tensor, row-major. An int64 beyond 2^53 is rounded: it is out of any range. */
export function readIntegers(tensor: Tensor): ArrayLike<number> {
  const array = tensor.to_typed_array()
  return array instanceof BigInt64Array ? Array.from(array, Number) : (array as Int32Array)
}
