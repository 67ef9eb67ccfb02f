import { ArgumentError, DTypeError, ShapeError, UnsupportedError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import type { ScoreOptions } from '../options/options.js'
import type { SinkLayout } from '../reference/attention-problem.js'
import type { AttentionShape } from './check-shapes.js'

export const MAX_SINK_TOKENS = 8

/** The scalars of an attention call, with defaults filled in. */
export interface AttentionScores {
  readonly softmaxScale: number
  /** 0: off. */
  readonly softcap: number
  readonly sinkLayout: SinkLayout
  /** 0 without a sink. */
  readonly sinkTokens: number
}

/** @throws ArgumentError, ShapeError, DTypeError, DeviceError, DisposedError; UnsupportedError for layout `'shd'` */
export function checkScores(options: ScoreOptions, shape: AttentionShape): AttentionScores {
  const { sink, softmax_scale: scale, softcap = 0, sink_layout: sinkLayout = 'sh' } = options
  const softmaxScale = scale ?? shape.headDim ** -0.5
  if (!isFloat32(softmaxScale)) {
    throw new ArgumentError({
      argument: 'softmax_scale',
      expected: 'a finite number, within float32',
      actual: scale,
    })
  }
  if (!isFloat32(softcap) || softcap < 0) {
    throw new ArgumentError({
      argument: 'softcap',
      expected: 'a finite number of at least 0, within float32',
      actual: softcap,
      hint: '0 turns it off.',
    })
  }
  checkSinkLayout(sinkLayout)
  const sinkTokens = sink === undefined || sink === null ? 0 : checkSink(sink, sinkLayout, shape)
  return { softmaxScale, softcap, sinkLayout, sinkTokens }
}

function isFloat32(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(Math.fround(value))
}

function checkSinkLayout(layout: unknown): void {
  if (layout === 'sh' || layout === 'ssh') return
  const details = { argument: 'sink_layout', expected: "'sh' or 'ssh'", actual: layout }
  throw layout === 'shd' ? new UnsupportedError(details) : new ArgumentError(details)
}

function checkSink(sink: Tensor, layout: SinkLayout, shape: AttentionShape): number {
  const { totalQ, numHeadsQ, dtype, device } = shape
  assertTensor('sink', sink, { device })
  // float64 only beside float64 tensors, where the reference computes.
  if (sink.dtype !== 'float32' && !(sink.dtype === 'float64' && dtype === 'float64')) {
    throw new DTypeError({
      argument: 'sink',
      expected: 'a float32 tensor, whatever the dtype of q',
      actual: sink.dtype,
    })
  }
  const sizes = sink.shape
  const ndim = layout === 'ssh' ? 3 : 2
  const tokens = sizes[ndim - 2] ?? 0
  const fits =
    sizes.length === ndim && sizes[ndim - 1] === numHeadsQ && (layout === 'sh' || sizes[0] === totalQ)
  if (!fits || tokens < 1 || tokens > MAX_SINK_TOKENS) {
    const rows = layout === 'ssh' ? `${totalQ}, ` : ''
    throw new ShapeError({
      argument: 'sink',
      expected: `a tensor of shape [${rows}sink_tokens, ${numHeadsQ}] with 1 to ${MAX_SINK_TOKENS} sink tokens`,
      actual: sizes,
    })
  }
  return tokens
}
