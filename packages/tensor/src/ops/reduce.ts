import { ArgumentError, DTypeError } from '@magi-attention/common'
import { apply_function, type CustomFunction } from '../autograd/function.js'
import { backendOf } from '../backend.js'
import { assertTensor } from '../check.js'
import { type DType, isFloatDType } from '../dtype.js'
import { emptyTensor } from '../factory.js'
import { normalizeDim, numelOf, type Shape, sameShape } from '../shape.js'
import type { Tensor } from '../tensor.js'
import { cast } from './convert.js'

interface ReduceOptions {
  readonly dims: readonly number[]
  readonly shape: Shape
  readonly keepdim: boolean
  readonly scale: number
}

const reduceFunction: CustomFunction<ReduceOptions, readonly [Tensor]> = {
  name: 'reduce',
  forward(_, [x], { dims, shape, keepdim, scale }) {
    const sum = sumOver(x, dims, scale)
    if (keepdim) return [sum]
    const view = sum._alias(shape.filter((_, dim) => !dims.includes(dim)))
    sum.dispose()
    return [view]
  },
  backward(_, [grad], { dims, shape, scale }) {
    const kept = shape.map((size, dim) => (dims.includes(dim) ? 1 : size))
    const scaled = scale === 1 ? grad! : grad!.mul(scale)
    return [expand(scaled.view(kept), shape)]
  },
}

export function reduce(
  kind: 'sum' | 'mean',
  x: Tensor,
  dim: number | readonly number[] | null | undefined,
  keepdim: boolean,
): Tensor {
  assertTensor('tensor', x)
  if (typeof keepdim !== 'boolean') {
    throw new ArgumentError({ argument: 'keepdim', expected: 'true or false', actual: keepdim })
  }
  if (kind === 'mean' && !isFloatDType(x.dtype)) {
    throw new DTypeError({ argument: 'tensor', expected: 'a float tensor to average', actual: x })
  }
  const all = x.shape.map((_, i) => i)
  const list = dim === undefined || dim === null ? all : typeof dim === 'number' ? [dim] : dim
  if (!Array.isArray(list))
    throw new ArgumentError({ argument: 'dim', expected: 'one or more integers', actual: dim })
  const dims = (list.length === 0 ? all : list).map(item => normalizeDim('dim', item, x.ndim))
  if (new Set(dims).size !== dims.length) {
    throw new ArgumentError({ argument: 'dim', expected: 'dimensions that differ', actual: dim })
  }
  const count = numelOf(dims.map(d => x.shape[d]!))
  const scale = kind === 'mean' ? 1 / count : 1
  return apply_function(reduceFunction, [x], { dims, shape: x.shape, keepdim, scale })[0]!
}

/** Sums over dimensions, which stay with size 1. Runs of neighbouring dimensions are one pass each. */
function sumOver(x: Tensor, dims: readonly number[], scale: number): Tensor {
  const runs = neighbourRuns(dims)
  const outDtype: DType = x.dtype === 'int32' ? 'int64' : x.dtype
  const isLow = x.dtype === 'bfloat16' || x.dtype === 'float16'
  // Several passes must not round in between.
  let current = isLow && runs.length > 1 ? cast(x, 'float32') : x._alias()
  if (runs.length === 0) runs.push([0, 0])
  runs.forEach(([first, end], i) => {
    const { shape } = current
    const sizes = {
      outer: numelOf(shape.slice(0, first)),
      reduced: numelOf(shape.slice(first, end)),
      inner: numelOf(shape.slice(end)),
    }
    const dtype = current.dtype === 'int32' ? 'int64' : current.dtype
    const outShape = shape.map((size, dim) => (dim >= first && dim < end ? 1 : size))
    const out = emptyTensor(outShape, dtype, x.device)
    // The mean of nothing is 0 times infinity.
    if (sizes.reduced === 0) backendOf(x.device).fill(out, Number.isFinite(scale) ? 0 : Number.NaN)
    else backendOf(x.device).sum(out, current, sizes, i === runs.length - 1 ? scale : 1)
    current.dispose()
    current = out
  })
  const result = cast(current, outDtype)
  current.dispose()
  return result
}

/** `[0, 1, 3]` gives `[[0, 2], [3, 4]]`. */
function neighbourRuns(dims: readonly number[]): [first: number, end: number][] {
  const runs: [number, number][] = []
  for (const dim of [...dims].sort((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last && last[1] === dim) last[1]++
    else runs.push([dim, dim + 1])
  }
  return runs
}

/** The transpose of broadcasting: sums a gradient down to the shape of an operand. */
export function sumToShape(grad: Tensor, shape: Shape): Tensor {
  if (sameShape(grad.shape, shape)) return grad
  const lead = grad.ndim - shape.length
  const dims = grad.shape.flatMap((size, dim) =>
    dim < lead || (shape[dim - lead] === 1 && size !== 1) ? [dim] : [],
  )
  using sum = sumOver(grad, dims, 1)
  return sum._alias(shape)
}

/** A dense copy of `x`, broadcast to `shape`. */
function expand(x: Tensor, shape: Shape): Tensor {
  const out = emptyTensor(shape, x.dtype, x.device)
  using one = emptyTensor([], x.dtype, x.device)
  const backend = backendOf(x.device)
  backend.fill(one, 1)
  backend.binary('mul', out, x, one)
  return out
}
