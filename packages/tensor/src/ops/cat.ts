import { ArgumentError, ShapeError } from '@magi-attention/common'
import { apply_function, type CustomFunction } from '../autograd/function.js'
import { backendOf } from '../backend.js'
import { assertTensor } from '../check.js'
import { emptyTensor } from '../factory.js'
import { normalizeDim, splitAt } from '../shape.js'
import type { Tensor } from '../tensor.js'

interface CatOptions {
  readonly dim: number
  readonly sizes: readonly number[]
}

const catFunction: CustomFunction<CatOptions, readonly Tensor[]> = {
  name: 'cat',
  forward(_, inputs, { dim, sizes }) {
    const first = inputs[0]!
    const total = sizes.reduce((sum, size) => sum + size, 0)
    const shape = first.shape.map((size, i) => (i === dim ? total : size))
    const out = emptyTensor(shape, first.dtype, first.device)
    const { outer, inner } = splitAt(shape, dim)
    let start = 0
    inputs.forEach((tensor, i) => {
      const width = sizes[i]! * inner
      const target = { tensor: out, offset: start * inner, stride: total * inner }
      backendOf(out.device).copyRows(target, { tensor, offset: 0, stride: width }, outer, width)
      start += sizes[i]!
    })
    return [out]
  },
  backward(ctx, [grad], { dim, sizes }) {
    let start = 0
    return sizes.map((size, i) => {
      const piece = ctx.needs_input_grad[i] ? grad!.narrow(dim, start, size) : null
      start += size
      return piece
    })
  },
}

/**
 * Joins tensors of one dtype along a dimension. The other sizes must agree.
 *
 * @param dim default 0
 * @throws ArgumentError for an empty list, ShapeError, DTypeError or DeviceError for tensors that do not fit the first
 */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  if (!Array.isArray(tensors) || tensors.length === 0) {
    throw new ArgumentError({
      argument: 'tensors',
      expected: 'a list of one tensor or more',
      actual: tensors,
    })
  }
  const first = assertTensor('tensors[0]', tensors[0])
  const at = normalizeDim('dim', dim, first.ndim)
  const shape = first.shape.map((size, i) => (i === at ? -1 : size))
  tensors.forEach((tensor, i) => {
    const argument = `tensors[${i}]`
    assertTensor(argument, tensor, { dtype: first.dtype, device: first.device, ndim: first.ndim })
    if (shape.some((size, d) => size !== -1 && size !== tensor.shape[d])) {
      const expected = `a tensor of shape [${shape.join(', ').replace('-1', '*')}]`
      throw new ShapeError({ argument, expected, actual: tensor })
    }
  })
  return apply_function(catFunction, tensors, {
    dim: at,
    sizes: tensors.map(tensor => tensor.shape[at]!),
  })[0]!
}
