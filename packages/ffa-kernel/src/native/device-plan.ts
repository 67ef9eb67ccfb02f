import { from_typed_array, keep, type Tensor } from '@magi-attention/tensor'
import { checkCuda, newEmpty, recordOperation } from '@magi-attention/tensor/internal'
import type { AttentionCall } from '../attention-call.js'
import type { DeviceSlices } from '../mask/device-slices.js'
import { onPlanCacheClear } from '../plan/plan-cache.js'
import { DevicePlanCache, slicesKey } from './device-plan-cache.js'
import type { CudaFfaLibrary } from './library.js'
import { type NativePlan, newNativePlan } from './native-plan.js'
import { PlanArgsStruct } from './structs.js'

/** How a mask is cut. */
export interface DevicePlanOptions {
  /** Rows are keys: for backward. */
  readonly transposed: boolean
  readonly tileRows: number
  readonly tileCols: number
  readonly alignCols: boolean
  /** CUDA device ordinal. */
  readonly device: number
  readonly stream: bigint
}

let plans: DevicePlanCache | undefined

function cachedPlans(): DevicePlanCache {
  if (plans === undefined) {
    const cache = new DevicePlanCache()
    onPlanCacheClear(() => cache.clear())
    plans = cache
  }
  return plans
}

/**
 * The plan of slices that lie on a GPU, made there at their first use, without waiting. Used on one stream, in whose order
 * it is made.
 *
 * @throws OutOfMemoryError, DeviceError
 */
export function devicePlan(
  library: CudaFfaLibrary,
  call: AttentionCall,
  slices: DeviceSlices,
  options: DevicePlanOptions,
): NativePlan {
  const { transposed, tileRows, tileCols, alignCols, device, stream } = options
  const cut = `${call.totalQ} ${call.totalK} ${transposed} ${tileRows} ${tileCols} ${alignCols}`
  const key = `${slicesKey(slices)} ${cut} ${device} ${stream}`
  return cachedPlans().get(key, () => makePlan(library, call, slices, options))
}

function makePlan(
  library: CudaFfaLibrary,
  call: AttentionCall,
  slices: DeviceSlices,
  options: DevicePlanOptions,
): NativePlan {
  const { qRanges, kRanges, attnTypeMap } = slices
  const types = attnTypeMap instanceof Int32Array ? upload(attnTypeMap, qRanges) : attnTypeMap
  const sizes = {
    bands: 0n,
    num_slices: qRanges.shape[0]!,
    total_q: call.totalQ,
    total_k: call.totalK,
    tile_rows: options.tileRows,
    tile_cols: options.tileCols,
    transposed: options.transposed ? 1 : 0,
    align_cols: options.alignCols ? 1 : 0,
    device: options.device,
    stream: options.stream,
    q_ranges: qRanges.data_ptr(),
    k_ranges: kRanges.data_ptr(),
    attn_type_map: types === null ? 0n : types.data_ptr(),
  }
  const bytes = library.planWorkspaceSize(PlanArgsStruct.pack({ ...sizes, workspace: 0n, workspace_size: 0 }))
  const memory = keep(newEmpty([bytes / 4], 'int32', call.device))
  const plan = newNativePlan(memory, null)
  try {
    const workspace = { workspace: memory.data_ptr(), workspace_size: bytes }
    const status = library.plan(PlanArgsStruct.pack({ ...sizes, ...workspace }), plan.struct)
    checkCuda(status, 'attention plan', options.device)
    recordOperation(options.device, options.stream, 'attention plan')
  } catch (error) {
    memory.dispose()
    throw error
  } finally {
    if (types !== attnTypeMap) types?.dispose()
  }
  return plan
}

function upload(codes: Int32Array, { device }: Tensor): Tensor {
  using host = from_typed_array(codes, [codes.length])
  return host.to(device)
}
