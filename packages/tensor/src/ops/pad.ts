import { ArgumentError, ShapeError } from '@magi-attention/common'
import { assertTensor } from '../check.js'
import { full } from '../factory.js'
import { assertInteger, normalizeDim } from '../shape.js'
import type { Tensor } from '../tensor.js'
import { cat } from './cat.js'

/**
 * Adds `pad` entries of `value` to one dimension.
 *
 * @param pad number of entries, 0 or more
 * @param value default 0
 * @param side where to add them, default `'right'`
 */
export function pad_at_dim(
  x: Tensor,
  dim: number,
  pad: number,
  value = 0,
  side: 'left' | 'right' = 'right',
): Tensor {
  assertTensor('x', x)
  const at = normalizeDim('dim', dim, x.ndim)
  assertInteger('pad', pad, 0)
  if (side !== 'left' && side !== 'right') {
    throw new ArgumentError({ argument: 'side', expected: "'left' or 'right'", actual: side })
  }
  if (pad === 0) return x.view(x.shape)
  using padding = full(
    x.shape.map((size, i) => (i === at ? pad : size)),
    value,
    { dtype: x.dtype, device: x.device },
  )
  return cat(side === 'right' ? [x, padding] : [padding, x], at)
}

/**
 * Takes the last `pad` entries of one dimension away: the inverse of `pad_at_dim` on the right.
 * @throws IndexError if the dimension is shorter
 */
export function unpad_at_dim(x: Tensor, dim: number, pad: number): Tensor {
  assertTensor('x', x)
  const at = normalizeDim('dim', dim, x.ndim)
  assertInteger('pad', pad, 0)
  if (pad > x.shape[at]!) {
    throw new ArgumentError({
      argument: 'pad',
      expected: `at most ${x.shape[at]}, the size of the dimension`,
      actual: pad,
    })
  }
  return x.narrow(at, 0, x.shape[at]! - pad)
}

/**
 * Pads several dimensions with `value`. As in torch, `pads` holds `left, right` of the last dimension, then of the one
 * before it, and so on.
 */
export function pad(x: Tensor, pads: readonly number[], value = 0): Tensor {
  assertTensor('x', x)
  if (!Array.isArray(pads) || pads.length % 2 !== 0 || pads.length > 2 * x.ndim) {
    const expected = `pairs of left and right amounts, for at most ${x.ndim} dimensions`
    throw new ArgumentError({ argument: 'pads', expected, actual: pads })
  }
  pads.forEach((amount, i) => {
    assertInteger(`pads[${i}]`, amount, 0)
  })
  let padded = x.view(x.shape)
  for (let i = 0; i < pads.length; i++) {
    if (pads[i] === 0) continue
    using before = padded
    padded = pad_at_dim(before, -1 - (i >> 1), pads[i]!, value, i % 2 === 0 ? 'left' : 'right')
  }
  return padded
}

/** `[b, s, ...]` as `[b * s, ...]`: a view. */
export function squash_batch_dim(x: Tensor): Tensor {
  assertTensor('x', x)
  if (x.ndim < 2)
    throw new ShapeError({ argument: 'x', expected: 'a tensor [batch, seqlen, ...]', actual: x })
  const [batch, seqlen, ...rest] = x.shape
  return x.view([batch! * seqlen!, ...rest])
}
