import { ArgumentError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import { dtypeSize } from '@magi-attention/tensor/internal'

/**
 * Checks that a tensor can be written in place, without a trace on the tape, while the others are read.
 *
 * @throws ArgumentError if it requires a gradient or shares memory with one of the others
 */
export function checkWritable(argument: string, target: Tensor, others: readonly (Tensor | null)[]): void {
  if (target.requires_grad) {
    throw new ArgumentError({
      argument,
      expected: 'a tensor without a gradient, since it is written in place',
      actual: target,
      hint: 'Pass it as .detach().',
    })
  }
  const begin = target.data_ptr()
  const end = endOf(target)
  for (const other of others) {
    if (other === null || other.data_ptr() >= end || endOf(other) <= begin) continue
    throw new ArgumentError({
      argument,
      expected: 'memory of its own, since it is written while the other tensors are read',
      actual: target,
    })
  }
}

function endOf(tensor: Tensor): bigint {
  return tensor.data_ptr() + BigInt(tensor.numel() * dtypeSize(tensor.dtype))
}
