import { DTypeError } from '@magi-attention/common'
import { apply_function, type CustomFunction } from '../autograd/function.js'
import { type BinaryOperator, backendOf } from '../backend.js'
import { assertTensor } from '../check.js'
import { isFloatDType } from '../dtype.js'
import { assertRepresentable, emptyLike, emptyTensor } from '../factory.js'
import { broadcastShapes, type Shape } from '../shape.js'
import type { Tensor } from '../tensor.js'
import { sumToShape } from './reduce.js'

interface BinaryOptions {
  readonly operator: BinaryOperator
  readonly shapes: readonly [Shape, Shape]
}

const binaryFunction: CustomFunction<BinaryOptions, readonly [Tensor, Tensor]> = {
  name: 'elementwise',
  forward(ctx, [a, b], { operator }) {
    const out = emptyTensor(broadcastShapes('other', a.shape, b.shape), a.dtype, a.device)
    backendOf(a.device).binary(operator, out, a, b)
    if (operator === 'mul' || operator === 'div') ctx.save_for_backward(a, b)
    return [out]
  },
  backward(ctx, [grad], { operator, shapes }) {
    const [needA, needB] = ctx.needs_input_grad
    const gradA = needA ? sumToShape(gradientOfLeft(ctx.saved_tensors, grad!, operator), shapes[0]) : null
    const gradB = needB ? sumToShape(gradientOfRight(ctx.saved_tensors, grad!, operator), shapes[1]) : null
    return [gradA, gradB]
  },
}

function gradientOfLeft([, b]: readonly Tensor[], grad: Tensor, operator: BinaryOperator): Tensor {
  if (operator === 'mul') return grad.mul(b!)
  return operator === 'div' ? grad.div(b!) : grad
}

function gradientOfRight([a, b]: readonly Tensor[], grad: Tensor, operator: BinaryOperator): Tensor {
  if (operator === 'add') return grad
  if (operator === 'sub') return grad.neg()
  if (operator === 'mul') return grad.mul(a!)
  return grad.mul(a!.div(b!)).div(b!).neg()
}

const scaleFunction: CustomFunction<{ scale: number; shift: number }, readonly [Tensor]> = {
  name: 'scale',
  forward(_, [x], { scale, shift }) {
    const out = emptyLike(x)
    backendOf(x.device).scale(out, x, scale, shift)
    return [out]
  },
  backward: (_, [grad], { scale }) => [scale === 1 ? grad! : binary('mul', grad!, scale)],
}

/** `a op b` with broadcasting. */
export function binary(operator: BinaryOperator, a: Tensor, b: Tensor | number): Tensor {
  assertTensor('tensor', a)
  if (operator === 'div' && !isFloatDType(a.dtype)) {
    throw new DTypeError({
      argument: 'tensor',
      expected: 'a float tensor to divide',
      actual: a,
      hint: "Convert it first: to('float32').",
    })
  }
  if (typeof b === 'number') return withNumber(operator, a, b)
  assertTensor('other', b, { dtype: a.dtype, device: a.device })
  const shapes = [a.shape, b.shape] as const
  return apply_function(binaryFunction, [a, b], { operator, shapes })[0]!
}

function withNumber(operator: BinaryOperator, a: Tensor, b: number): Tensor {
  assertRepresentable('other', b, a.dtype)
  if (operator === 'add') return scaled(a, 1, b)
  if (operator === 'sub') return scaled(a, 1, -b)
  // Adding -0 changes nothing, while 0 would turn -0 into 0.
  if (operator === 'mul') return scaled(a, b, -0)
  // A reciprocal is exact enough where the result is rounded to 16 bits anyway, but not beyond.
  if (a.dtype === 'bfloat16' || a.dtype === 'float16') return scaled(a, 1 / b, -0)
  using divisor = emptyTensor([], a.dtype, a.device)
  backendOf(a.device).fill(divisor, b)
  return apply_function(binaryFunction, [a, divisor], { operator, shapes: [a.shape, divisor.shape] })[0]!
}

function scaled(x: Tensor, scale: number, shift: number): Tensor {
  return apply_function(scaleFunction, [x], { scale, shift })[0]!
}

export function negate(x: Tensor): Tensor {
  return binary('mul', x, -1)
}

/** `target += x`, unrecorded, for tensors of one shape and dtype. */
export function addInPlace(target: Tensor, x: Tensor): void {
  backendOf(target.device).binary('add', target, target, x)
  target._storage.version++
}
