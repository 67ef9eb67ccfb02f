import { ArgumentError, DTypeError, IndexError, ShapeError } from '@magi-attention/common'
import { apply_function, type CustomFunction } from '../autograd/function.js'
import { backendOf } from '../backend.js'
import { assertTensor } from '../check.js'
import { wrapTypedArray } from '../data.js'
import { emptyTensor, transfer, zerosTensor } from '../factory.js'
import { assertInteger, inferViewShape, normalizeDim, type Shape, splitAt } from '../shape.js'
import { Tensor } from '../tensor.js'
import { cast } from './convert.js'

const viewFunction: CustomFunction<{ from: Shape; to: Shape }, readonly [Tensor]> = {
  name: 'view',
  forward: (_, [x], { to }) => [x._alias(to)],
  backward: (_, [grad], { from }) => [grad!._alias(from)],
}

export function viewAs(x: Tensor, sizes: readonly number[] | readonly [readonly number[]]): Tensor {
  assertTensor('tensor', x)
  const first = sizes[0]
  const list = Array.isArray(first) && sizes.length === 1 ? first : (sizes as readonly number[])
  list.forEach((size, i) => {
    assertInteger(`size ${i}`, size, -1)
  })
  return apply_function(viewFunction, [x], { from: x.shape, to: inferViewShape(list, x.numel()) })[0]!
}

interface NarrowOptions {
  readonly shape: Shape
  readonly dim: number
  readonly start: number
  readonly length: number
}

const narrowFunction: CustomFunction<NarrowOptions, readonly [Tensor]> = {
  name: 'narrow',
  forward(_, [x], { shape, dim, start, length }) {
    const { outer, size, inner } = splitAt(shape, dim)
    const narrowed = shape.map((full, i) => (i === dim ? length : full))
    if (dim === 0) return [Tensor._make(x._storage, x.storage_offset() + start * inner, narrowed, x.dtype)]
    const out = emptyTensor(narrowed, x.dtype, x.device)
    const source = { tensor: x, offset: start * inner, stride: size * inner }
    backendOf(x.device).copyRows(
      { tensor: out, offset: 0, stride: length * inner },
      source,
      outer,
      length * inner,
    )
    return [out]
  },
  backward(_, [grad], { shape, dim, start, length }) {
    const { outer, size, inner } = splitAt(shape, dim)
    const out = zerosTensor(shape, grad!.dtype, grad!.device)
    const target = { tensor: out, offset: start * inner, stride: size * inner }
    const source = { tensor: grad!, offset: 0, stride: length * inner }
    backendOf(out.device).copyRows(target, source, outer, length * inner)
    return [out]
  },
}

export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  assertTensor('tensor', x)
  const at = normalizeDim('dim', dim, x.ndim)
  const size = x.shape[at]!
  assertInteger('start', start, 0)
  assertInteger('length', length, 0)
  if (start + length > size) {
    throw new IndexError({
      argument: 'start + length',
      expected: `at most ${size}, the size of dimension ${at}`,
      actual: start + length,
    })
  }
  return apply_function(narrowFunction, [x], { shape: x.shape, dim: at, start, length })[0]!
}

const indexSelectFunction: CustomFunction<{ shape: Shape; dim: number }, readonly [Tensor, Tensor]> = {
  name: 'index_select',
  forward(ctx, [x, index], { shape, dim }) {
    const { outer, size, inner } = splitAt(shape, dim)
    const count = index.numel()
    const out = emptyTensor(
      shape.map((full, i) => (i === dim ? count : full)),
      x.dtype,
      x.device,
    )
    backendOf(x.device).indexSelect(out, x, index, { outer, inRows: size, outRows: count, inner })
    ctx.save_for_backward(index)
    return [out]
  },
  backward(ctx, [grad], { shape, dim }) {
    const [index] = ctx.saved_tensors
    const { outer, size, inner } = splitAt(shape, dim)
    const out = emptyTensor(shape, grad!.dtype, grad!.device)
    backendOf(out.device).indexAdd(out, grad!, index!, {
      outer,
      inRows: index!.numel(),
      outRows: size,
      inner,
    })
    return [out, null]
  },
}

export function index_select(x: Tensor, dim: number, index: Tensor | readonly number[]): Tensor {
  assertTensor('tensor', x)
  const at = normalizeDim('dim', dim, x.ndim)
  using checked = toIndexTensor(index, x.shape[at]!)
  using rows = transfer(checked, x.device)
  return apply_function(indexSelectFunction, [x, rows], { shape: x.shape, dim: at })[0]!
}

/** An int64 tensor of row numbers on the CPU, each checked, that the caller disposes. */
function toIndexTensor(index: Tensor | readonly number[], size: number): Tensor {
  if (!(index instanceof Tensor)) {
    if (!Array.isArray(index)) {
      throw new ArgumentError({
        argument: 'index',
        expected: 'a tensor or a list of integers',
        actual: index,
      })
    }
    index.forEach((row, i) => {
      if (Number.isSafeInteger(row) && row >= 0 && row < size) return
      assertRow(`index[${i}]`, assertInteger(`index[${i}]`, row), size)
    })
    using wrapped = wrapTypedArray(Float64Array.from(index), [index.length], 'float64')
    return cast(wrapped, 'int64')
  }
  assertTensor('index', index)
  if (index.dtype !== 'int64' && index.dtype !== 'int32') {
    throw new DTypeError({ argument: 'index', expected: 'a tensor of dtype int32 or int64', actual: index })
  }
  if (index.ndim !== 1) throw new ShapeError({ argument: 'index', expected: 'a 1-D tensor', actual: index })
  // A copy, so that backward still sees these rows if the caller writes into its index.
  const rows = index.to_typed_array() as BigInt64Array | Int32Array
  const wrong = rows.findIndex((row: number | bigint) => row < 0 || row >= size)
  if (wrong >= 0) assertRow(`index[${wrong}]`, rows[wrong]!, size)
  using wrapped = wrapTypedArray(rows, index.shape, index.dtype)
  return cast(wrapped, 'int64')
}

function assertRow(argument: string, row: number | bigint, size: number): void {
  if (row >= 0 && row < size) return
  throw new IndexError({ argument, expected: `a row in [0, ${size - 1}]`, actual: row })
}
