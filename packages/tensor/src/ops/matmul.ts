import { DTypeError, ShapeError } from '@magi-attention/common'
import { apply_function, type CustomFunction } from '../autograd/function.js'
import { backendOf } from '../backend.js'
import { assertTensor } from '../check.js'
import { isFloatDType } from '../dtype.js'
import { emptyTensor } from '../factory.js'
import type { Tensor } from '../tensor.js'

interface MatmulOptions {
  /** Take `b` as `[n, k]`. */
  readonly transposeB: boolean
}

const matmulFunction: CustomFunction<MatmulOptions, readonly [Tensor, Tensor]> = {
  name: 'matmul',
  forward(ctx, [a, b], { transposeB }) {
    ctx.save_for_backward(a, b)
    return [multiply(a, b, false, transposeB)]
  },
  backward(ctx, [grad], { transposeB }) {
    const [a, b] = ctx.saved_tensors
    const [needA, needB] = ctx.needs_input_grad
    const gradA = needA ? multiply(grad!, b!, false, !transposeB) : null
    if (!needB) return [gradA, null]
    const rows = flattenRows(a!)
    const gradRows = flattenRows(grad!)
    return [gradA, transposeB ? multiply(gradRows, rows, true, false) : multiply(rows, gradRows, true, false)]
  },
}

/** `a [..., m, k]` times `b [k, n]`, or `[n, k]` with `transposeB`. */
export function matmul(a: Tensor, b: Tensor, transposeB = false): Tensor {
  assertTensor('tensor', a)
  assertTensor('other', b, { dtype: a.dtype, device: a.device })
  if (!isFloatDType(a.dtype))
    throw new DTypeError({ argument: 'tensor', expected: 'a float tensor', actual: a })
  if (a.ndim < 2) throw new ShapeError({ argument: 'tensor', expected: 'a tensor [..., m, k]', actual: a })
  const k = a.shape[a.ndim - 1]!
  if (b.ndim !== 2 || b.shape[transposeB ? 1 : 0] !== k) {
    const expected = transposeB ? `a tensor [n, ${k}]` : `a tensor [${k}, n]`
    throw new ShapeError({ argument: 'other', expected, actual: b })
  }
  return apply_function(matmulFunction, [a, b], { transposeB })[0]!
}

/** op(a) op(b), without history; leading dimensions of `a` are rows unless it is transposed, when it must be 2-D. */
function multiply(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  const width = a.shape[a.ndim - 1]!
  const height = a.shape.slice(0, -1).reduce((product, size) => product * size, 1)
  const [m, k] = transposeA ? [width, height] : [height, width]
  const n = b.shape[transposeB ? 0 : 1]!
  const out = emptyTensor(transposeA ? [m, n] : [...a.shape.slice(0, -1), n], a.dtype, a.device)
  backendOf(a.device).matmul(out, a, b, { m, n, k, transposeA, transposeB })
  return out
}

function flattenRows(x: Tensor): Tensor {
  const width = x.shape[x.ndim - 1]!
  return x._alias([x.shape.slice(0, -1).reduce((product, size) => product * size, 1), width])
}
