import { ArgumentError, DeviceError } from '@magi-attention/common'
import { type Device, Tensor } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import type { MaskOptions } from '../options/options.js'
import { readTypeCodes } from './read-type-codes.js'

/** A mask whose slices lie in the memory of a GPU: it is planned there, and its values never reach the host. */
export interface DeviceSlices {
  /** `[n, 2]`, int32 */
  readonly qRanges: Tensor
  /** `[n, 2]`, int32 */
  readonly kRanges: Tensor
  /** `[n]`: an int32 tensor beside the ranges, or codes on the host. Null: all full. */
  readonly attnTypeMap: Tensor | Int32Array | null
}

/**
 * The slices of a call on a GPU whose ranges are int32 tensors there; null for every other mask, which is read on the host.
 *
 * @param device that of q
 * @throws DeviceError for ranges on different devices; ShapeError, DTypeError, ArgumentError, DisposedError
 */
export function readDeviceSlices(options: MaskOptions, device: Device): DeviceSlices | null {
  if (device === 'cpu') return null
  const { q_ranges: qInput, k_ranges: kInput, attn_type_map: typeMap } = options
  if (!isOnGpu(qInput)) {
    if (isOnGpu(kInput)) throw notBesideQRanges('k_ranges', kInput, 'the host')
    if (isOnGpu(typeMap)) throw notBesideQRanges('attn_type_map', typeMap, 'the host')
    return null
  }
  const integers = ['int32', 'int64'] as const
  const qRanges = assertTensor('q_ranges', qInput, { dtype: integers, shape: [-1, 2], device })
  if (!isOnGpu(kInput)) throw notBesideQRanges('k_ranges', kInput, device)
  const count = qRanges.shape[0]!
  const kRanges = assertTensor('k_ranges', kInput, { dtype: integers, shape: [count, 2], device })
  const types =
    typeMap instanceof Tensor && isOnGpu(typeMap)
      ? assertTensor('attn_type_map', typeMap, { dtype: integers, shape: [count], device })
      : readTypeCodes('attn_type_map', typeMap, count)
  // Others would have to be converted at each call: they are read on the host.
  const isInt32 = [qRanges, kRanges, types].every(x => !(x instanceof Tensor) || x.dtype === 'int32')
  if (!isInt32) return null
  const attnTypeMap = types === null || types instanceof Tensor ? types : new Int32Array(types)
  return { qRanges, kRanges, attnTypeMap }
}

function isOnGpu(input: unknown): input is Tensor {
  return input instanceof Tensor && !input.is_disposed && input.device !== 'cpu'
}

function notBesideQRanges(argument: string, actual: unknown, place: string): DeviceError | ArgumentError {
  const details = { argument, expected: `slices on ${place}, as q_ranges are`, actual }
  return actual instanceof Tensor
    ? new DeviceError(details)
    : new ArgumentError({ ...details, hint: 'Pass all ranges as int32 tensors on the GPU, or none.' })
}
