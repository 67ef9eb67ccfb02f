import { ArgumentError, type Band } from '@magi-attention/common'
import { readKeyIndices } from './mask/read-key-indices.js'
import { readMask } from './mask/read-mask.js'
import { checkIndexAttentionOptions, checkPerformanceOptions } from './options/check-flags.js'
import type { FlexFlashAttnBackwardOptions, FlexFlashAttnOptions } from './options/options.js'
import { type AttentionScores, checkScores } from './validation/check-scores.js'
import { type AttentionShape, checkAttentionTensors } from './validation/check-shapes.js'

/** A checked attention call: everything but the tensors. */
export interface AttentionCall extends AttentionShape, AttentionScores {
  /** The mask is their union. Empty beside `kvHeadBands`. */
  readonly bands: readonly Band[]
  /** A mask for each kv head, `[numHeadsKv]`; null if all heads share `bands`. */
  readonly kvHeadBands: readonly (readonly Band[])[] | null
}

/** Checks the options that all entry points share. Option keys and each one's own options are its own affair. */
export function checkAttentionCall(
  options: FlexFlashAttnOptions | FlexFlashAttnBackwardOptions,
): AttentionCall {
  checkPerformanceOptions(options)
  checkIndexAttentionOptions(options)
  const shape = checkAttentionTensors(options)
  const scores = checkScores(options, shape)
  const keyIndices = options.index_attn_indices
  if (keyIndices === undefined || keyIndices === null) {
    return { ...shape, ...scores, bands: readMask(options, shape.totalQ, shape.totalK), kvHeadBands: null }
  }
  return { ...shape, ...scores, bands: [], kvHeadBands: readKeyIndices(keyIndices, shape) }
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
