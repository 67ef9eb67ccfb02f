import { DTypeError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import { isFloatDType } from '@magi-attention/tensor/internal'
import { assertChoice } from '../check.js'

/**
 * How the values of all ranks become one: their sum, their mean, or the largest. Computed in float32 or wider, in the
 * order of the ranks, and rounded once; int64 and int32 wrap.
 */
export type ReduceOp = 'sum' | 'avg' | 'max'

/** torch's names of the operators. */
export const ReduceOp = { SUM: 'sum', AVG: 'avg', MAX: 'max' } as const

/** @throws ArgumentError for an unknown operator, DTypeError for the mean of integers */
export function parseReduceOp(value: unknown, tensor: Tensor): ReduceOp {
  const op = assertChoice('op', value ?? 'sum', ['sum', 'avg', 'max'])
  if (op !== 'avg' || isFloatDType(tensor.dtype)) return op
  throw new DTypeError({ argument: 'op', expected: 'sum or max for integers', actual: op })
}
