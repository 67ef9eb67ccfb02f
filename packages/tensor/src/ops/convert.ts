import { apply_function, type CustomFunction } from '../autograd/function.js'
import { backendOf } from '../backend.js'
import { assertTensor } from '../check.js'
import { type Device, parseDevice } from '../device.js'
import { assertDType, type DType, isDType } from '../dtype.js'
import { assertOptionNames, emptyLike, emptyTensor, transfer } from '../factory.js'
import type { Tensor } from '../tensor.js'

type Target = Parameters<Tensor['to']>[0]

interface Place {
  readonly dtype: DType
  readonly device: Device
}

interface ToOptions {
  readonly from: Place
  readonly to: Place
  readonly nonBlocking: boolean
}

const toFunction: CustomFunction<ToOptions, readonly [Tensor]> = {
  name: 'to',
  forward: (_, [x], { to, nonBlocking }) => [moveTo(x, to, nonBlocking)],
  backward: (_, [grad], { from }) => [moveTo(grad!, from, false)],
}

/** Without history. A view if nothing changes. Between CPU and GPU, the GPU converts. */
function moveTo(x: Tensor, { dtype, device }: Place, nonBlocking: boolean): Tensor {
  if (x.device === 'cpu') {
    using moved = transfer(x, device, nonBlocking)
    return cast(moved, dtype)
  }
  using converted = cast(x, dtype)
  return transfer(converted, device, nonBlocking)
}

export function convert(x: Tensor, target: Target): Tensor {
  assertTensor('tensor', x)
  const from: Place = { dtype: x.dtype, device: x.device }
  const { nonBlocking = false, ...to } = parseTarget(target, from)
  backendOf(to.device)
  return apply_function(toFunction, [x], { from, to, nonBlocking })[0]!
}

function parseTarget(target: unknown, from: Place): Place & { nonBlocking?: boolean } {
  if (isDType(target)) return { ...from, dtype: target }
  if (typeof target === 'string') return { ...from, device: parseDevice('target', target) }
  assertOptionNames('target', target, ['dtype', 'device', 'non_blocking'])
  const { dtype, device, non_blocking } = target as Record<string, unknown>
  return {
    dtype: dtype === undefined ? from.dtype : assertDType('dtype', dtype),
    device: device === undefined ? from.device : parseDevice('device', device),
    nonBlocking: non_blocking === true,
  }
}

/** Without history. A view if nothing changes. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x._alias()
  const out = emptyTensor(x.shape, dtype, x.device)
  backendOf(x.device).cast(out, x)
  return out
}

const cloneFunction: CustomFunction<undefined, readonly [Tensor]> = {
  name: 'clone',
  forward(_, [x]) {
    const out = emptyLike(x)
    const numel = x.numel()
    const block = (tensor: Tensor) => ({ tensor, offset: 0, stride: numel })
    backendOf(x.device).copyRows(block(out), block(x), 1, numel)
    return [out]
  },
  backward: (_, [grad]) => [grad!],
}

export function clone(x: Tensor): Tensor {
  assertTensor('tensor', x)
  return apply_function(cloneFunction, [x], undefined)[0]!
}
