import { DeviceError, DTypeError, ShapeError, UnsupportedError } from '@magi-attention/common'
import type { Device, DType, Tensor } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import type { AttentionTensors } from '../options/options.js'

/** Sizes of an attention call. */
export interface AttentionShape {
  readonly totalQ: number
  readonly totalK: number
  readonly numHeadsQ: number
  readonly numHeadsKv: number
  readonly headDim: number
  /** dtype of q, k and v. */
  readonly dtype: DType
  readonly device: Device
}

export const MAX_HEAD_DIM = 256

/** Row and column indices of a plan, and their differences, have to fit into 31 bits. */
const MAX_TOKENS = 2 ** 30 - 1

/** Grids of heads and tiles are 32-bit. */
const MAX_HEADS = 2 ** 16

/**
 * Checks q, k and v against each other.
 *
 * @throws ArgumentError, ShapeError, DTypeError, DeviceError, DisposedError; UnsupportedError for sequences of 2^30 tokens
 */
export function checkAttentionTensors({ q, k, v }: AttentionTensors): AttentionShape {
  assertTensor('q', q, { ndim: 3 })
  const dtype = q.dtype
  if (dtype === 'int32' || dtype === 'int64') {
    throw new DTypeError({
      argument: 'q',
      expected: 'a tensor of float32, bfloat16, float16 or float64',
      actual: dtype,
    })
  }
  const device = q.device
  checkLikeQ('k', k, dtype, device)
  checkLikeQ('v', v, dtype, device)

  const [totalQ, numHeadsQ, headDim] = q.shape as readonly [number, number, number]
  const [totalK, numHeadsKv, headDimK] = k.shape as readonly [number, number, number]
  if (headDim < 8 || headDim % 8 !== 0 || headDim > MAX_HEAD_DIM) {
    throw new ShapeError({
      argument: 'q',
      expected: `a head_dim that is a multiple of 8 from 8 to ${MAX_HEAD_DIM}`,
      actual: q.shape,
      hint: 'Pad the last dimension of q, k and v with zeros, and pass the softmax_scale of the true head_dim.',
    })
  }
  if (headDimK !== headDim) {
    throw new ShapeError({ argument: 'k', expected: `a head_dim of ${headDim} as q has`, actual: k.shape })
  }
  if (v.shape[0] !== totalK || v.shape[1] !== numHeadsKv || v.shape[2] !== headDim) {
    throw new ShapeError({
      argument: 'v',
      expected: `the shape of k, [${k.shape.join(', ')}]`,
      actual: v.shape,
    })
  }
  if (numHeadsQ < 1 || numHeadsQ > MAX_HEADS) {
    throw new ShapeError({ argument: 'q', expected: `1 to ${MAX_HEADS} heads`, actual: q.shape })
  }
  if (numHeadsKv < 1 || numHeadsQ % numHeadsKv !== 0) {
    throw new ShapeError({
      argument: 'k',
      expected: `a number of heads that divides the ${numHeadsQ} heads of q`,
      actual: k.shape,
    })
  }
  checkTokens('q', totalQ)
  checkTokens('k', totalK)
  return { totalQ, totalK, numHeadsQ, numHeadsKv, headDim, dtype, device }
}

/** dtype of lse, max_logits, and of the buffers that partial results accumulate in. */
export function accumulationDtype(dtype: DType): 'float32' | 'float64' {
  return dtype === 'float64' ? 'float64' : 'float32'
}

/** Checks a tensor `[total_q, num_heads_q, head_dim]`. */
export function checkLikeOut(argument: string, value: unknown, dtype: DType, shape: AttentionShape): void {
  const { totalQ, numHeadsQ, headDim, device } = shape
  assertTensor(argument, value, { dtype, shape: [totalQ, numHeadsQ, headDim], device })
}

/** Checks a tensor `[total_q, num_heads_q]` of the accumulation dtype. */
export function checkLse(value: unknown, { totalQ, numHeadsQ, dtype, device }: AttentionShape): void {
  assertTensor('lse', value, { dtype: accumulationDtype(dtype), shape: [totalQ, numHeadsQ], device })
}

function checkLikeQ(argument: string, value: unknown, dtype: DType, device: string): void {
  const tensor: Tensor = assertTensor(argument, value, { ndim: 3 })
  if (tensor.dtype !== dtype) {
    throw new DTypeError({ argument, expected: `a tensor of ${dtype} as q is`, actual: tensor.dtype })
  }
  if (tensor.device !== device) {
    throw new DeviceError({ argument, expected: `a tensor on ${device} as q is`, actual: tensor.device })
  }
}

function checkTokens(argument: string, count: number): void {
  if (count <= MAX_TOKENS) return
  throw new UnsupportedError({ argument, expected: 'fewer than 2^30 tokens', actual: count })
}
