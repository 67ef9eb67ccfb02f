import { assertTensor } from '../check.js'
import type { Tensor } from '../tensor.js'

interface ParameterConstructor {
  new (data: Tensor): Tensor
  (data: Tensor): Tensor
}

/**
 * A leaf that requires a gradient: `new nn.Parameter(t)` or `nn.Parameter(t)`. A leaf is taken as it is, without a
 * second handle to dispose of; of a result, it is a view without history.
 *
 * @throws DTypeError for integers
 */
export const Parameter = function Parameter(data: Tensor): Tensor {
  assertTensor('data', data)
  const parameter = data.is_leaf ? data : data.detach()
  parameter.requires_grad = true
  return parameter
} as ParameterConstructor
