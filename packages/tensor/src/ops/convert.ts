import { apply_function, type CustomFunction } from '../autograd/function.js'
import { backendOf } from '../backend.js'
import { assertTensor } from '../check.js'
import { type Device, parseDevice } from '../device.js'
import { assertDType, type DType, isDType } from '../dtype.js'
import { assertOptionNames, emptyLike, emptyTensor } from '../factory.js'
import type { Tensor } from '../tensor.js'

type Target = Parameters<Tensor['to']>[0]

const toFunction: CustomFunction<{ from: DType; to: DType }, readonly [Tensor]> = {
  name: 'to',
  forward: (_, [x], { to }) => [cast(x, to)],
  backward: (_, [grad], { from }) => [cast(grad!, from)],
}

export function convert(x: Tensor, target: Target): Tensor {
  assertTensor('tensor', x)
  const { dtype, device } = parseTarget(target)
  // Fails for devices that this build does not have.
  backendOf(device ?? x.device)
  return apply_function(toFunction, [x], { from: x.dtype, to: dtype ?? x.dtype })[0]!
}

function parseTarget(target: unknown): { dtype?: DType | undefined; device?: Device | undefined } {
  if (isDType(target)) return { dtype: target }
  if (typeof target === 'string') return { device: parseDevice('target', target) }
  assertOptionNames('target', target, ['dtype', 'device'])
  const { dtype, device } = target as { dtype?: unknown; device?: unknown }
  return {
    dtype: dtype === undefined ? undefined : assertDType('dtype', dtype),
    device: device === undefined ? undefined : parseDevice('device', device),
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
