import { from_typed_array, type Tensor } from '@magi-attention/tensor'
import { BAND_FIELDS, type TilePlan } from '../plan/index.js'
import { PlanStruct } from './structs.js'

/** A plan as a library reads it. */
export interface NativePlan {
  /** Address of the MagiFfaPlan: valid for as long as this object lives. */
  readonly address: bigint
  /** The MagiFfaPlan. */
  readonly struct: Uint8Array
  /** Its arrays, if they lie on a GPU. */
  readonly memory: Tensor | null
  /** The plan that it describes; null if it was made on a GPU. */
  readonly plan: TilePlan | null
}

/** Where the arrays of a plan lie; 0 for those that a dense plan does not have. */
export interface PlanAddresses {
  readonly bands: bigint
  readonly tile_order: bigint
  readonly tile_runs: bigint
  readonly runs: bigint
  readonly run_bands: bigint
}

/** Plans are shared by many calls: each is described to the library once, for as long as it lives. */
const nativePlans = new WeakMap<TilePlan, NativePlan>()

/** Describes a plan with its arrays on the host. */
export function hostPlan(plan: TilePlan): NativePlan {
  let native = nativePlans.get(plan)
  if (native === undefined) {
    const addresses = {
      bands: addressOrNull(plan.bands),
      tile_order: addressOrNull(plan.tileOrder),
      tile_runs: addressOrNull(plan.tileRuns),
      runs: addressOrNull(plan.runs),
      run_bands: addressOrNull(plan.runBands),
    }
    native = describePlan(plan, addresses, null)
    nativePlans.set(plan, native)
  }
  return native
}

/** Describes a plan whose arrays lie at these addresses. */
export function describePlan(plan: TilePlan, addresses: PlanAddresses, memory: Tensor | null): NativePlan {
  const native = newNativePlan(memory, plan)
  PlanStruct.pack(
    {
      ...addresses,
      num_rows: plan.numRows,
      num_cols: plan.numCols,
      tile_rows: plan.tileRows,
      tile_cols: plan.tileCols,
      num_tiles: plan.numTiles,
      num_bands: plan.bands.length / BAND_FIELDS,
    },
    native.struct,
  )
  return native
}

/** A MagiFfaPlan that is still to be filled. */
export function newNativePlan(memory: Tensor | null, plan: TilePlan | null): NativePlan {
  const struct = new Uint8Array(new ArrayBuffer(PlanStruct.sizeof))
  return { struct, address: addressOf(new Int32Array(struct.buffer)), memory, plan }
}

/** A sparse plan's arrays are never null for the library, even if they are empty: null stands for a dense plan. */
function addressOrNull(array: Int32Array | null): bigint {
  if (array === null) return 0n
  return addressOf(array.length > 0 ? array : nonEmpty)
}

const nonEmpty = new Int32Array(1)

/** Address of memory that stays where it is for as long as the array lives. */
function addressOf(array: Int32Array): bigint {
  using view = from_typed_array(array, [array.length])
  return view.data_ptr()
}
