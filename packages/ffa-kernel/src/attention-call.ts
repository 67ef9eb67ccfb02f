import { ArgumentError, type Band } from '@magi-attention/common'
import { type DeviceSlices, readDeviceSlices } from './mask/device-slices.js'
import { readKeyIndices } from './mask/read-key-indices.js'
import { readMask } from './mask/read-mask.js'
import { checkIndexAttentionOptions, checkPerformanceOptions } from './options/check-flags.js'
import type { FlexFlashAttnBackwardOptions, FlexFlashAttnOptions } from './options/options.js'
import { type AttentionScores, checkScores } from './validation/check-scores.js'
import { type AttentionShape, checkAttentionTensors } from './validation/check-shapes.js'

/** A checked attention call: everything but the tensors. */
export interface AttentionCall extends AttentionShape, AttentionScores {
  /** The mask is their union. Empty beside `deviceSlices` and `kvHeadBands`. */
  readonly bands: readonly Band[]
  /** The mask, if it lies in the memory of a GPU; else null. */
  readonly deviceSlices: DeviceSlices | null
  /** A mask for each kv head, `[numHeadsKv]`; null if all heads share `bands`. */
  readonly kvHeadBands: readonly (readonly Band[])[] | null
  /** Gradients shall be the same bits each time. The CPU's always are. */
  readonly deterministic: boolean
  /** Multiprocessors of a GPU to leave free. */
  readonly smMargin: number
}

/** Checks the options that all entry points share. Option keys and each one's own options are its own affair. */
export function checkAttentionCall(
  options: FlexFlashAttnOptions | FlexFlashAttnBackwardOptions,
): AttentionCall {
  checkPerformanceOptions(options)
  checkIndexAttentionOptions(options)
  const shape = checkAttentionTensors(options)
  const scores = checkScores(options, shape)
  const { index_attn_indices: keyIndices } = options
  const isIndexed = keyIndices !== undefined && keyIndices !== null
  const deviceSlices = isIndexed ? null : readDeviceSlices(options, shape.device)
  const isOnHost = !isIndexed && deviceSlices === null
  // Written out: with spreads this object alone would take half of the time of all checks.
  return {
    totalQ: shape.totalQ,
    totalK: shape.totalK,
    numHeadsQ: shape.numHeadsQ,
    numHeadsKv: shape.numHeadsKv,
    headDim: shape.headDim,
    dtype: shape.dtype,
    device: shape.device,
    softmaxScale: scores.softmaxScale,
    softcap: scores.softcap,
    sinkLayout: scores.sinkLayout,
    sinkTokens: scores.sinkTokens,
    bands: isOnHost ? readMask(options, shape.totalQ, shape.totalK) : [],
    deviceSlices,
    kvHeadBands: isIndexed ? readKeyIndices(keyIndices, shape) : null,
    deterministic: options.deterministic ?? false,
    smMargin: options.sm_margin ?? 0,
  }
}

/** The dtype that an `out_dtype` or `grad_dtype` option asks for. @throws ArgumentError */
export function resultDtype<D extends string>(argument: string, value: unknown, dtype: D): D | 'float32' {
  if (value === undefined || value === dtype) return dtype
  if (value === 'float32' && dtype !== 'float64') return 'float32'
  throw new ArgumentError({
    argument,
    expected: dtype === 'float32' || dtype === 'float64' ? `'${dtype}'` : `'${dtype}' or 'float32'`,
    actual: value,
  })
}
