import { ArgumentError, DeviceError, DisposedError, DTypeError, ShapeError } from '@magi-attention/common'
import type { Device } from './device.js'
import type { DType } from './dtype.js'
import { Tensor } from './tensor.js'

/** What a tensor argument must be like. What is left out is not checked. */
export interface TensorRequirements {
  readonly dtype?: DType | readonly DType[]
  readonly ndim?: number | readonly number[]
  /** Sizes; -1 stands for any. */
  readonly shape?: readonly number[]
  readonly device?: Device
}

/**
 * Checks an argument that must be a live tensor.
 *
 * @returns the tensor
 * @throws ArgumentError if it is no tensor, DisposedError, DTypeError, ShapeError or DeviceError
 */
export function assertTensor(
  argument: string,
  value: unknown,
  requirements: TensorRequirements = {},
): Tensor {
  if (!(value instanceof Tensor)) throw new ArgumentError({ argument, expected: 'a Tensor', actual: value })
  if (value.is_disposed) {
    throw new DisposedError({ argument, expected: 'a tensor that was not disposed', actual: value })
  }
  const { dtype, ndim, shape, device } = requirements
  const dtypes = typeof dtype === 'string' ? [dtype] : dtype
  if (dtypes && !dtypes.includes(value.dtype)) {
    throw new DTypeError({ argument, expected: `a tensor of dtype ${dtypes.join(' or ')}`, actual: value })
  }
  const ranks = typeof ndim === 'number' ? [ndim] : ndim
  if (ranks && !ranks.includes(value.ndim)) {
    throw new ShapeError({
      argument,
      expected: `a tensor of ${ranks.join(' or ')} dimensions`,
      actual: value,
    })
  }
  if (
    shape &&
    (shape.length !== value.ndim || shape.some((size, i) => size !== -1 && size !== value.shape[i]))
  ) {
    throw new ShapeError({ argument, expected: `a tensor of shape [${shape.join(', ')}]`, actual: value })
  }
  if (device && value.device !== device) {
    throw new DeviceError({ argument, expected: `a tensor on ${device}`, actual: value })
  }
  return value
}
