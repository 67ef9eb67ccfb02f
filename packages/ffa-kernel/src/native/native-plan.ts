import { from_typed_array } from '@magi-attention/tensor'
import type { TilePlan } from '../plan/index.js'
import { BAND_FIELDS } from '../plan/index.js'
import { PlanStruct } from './structs.js'

interface NativePlan {
  /** Kept with the address, which is valid for as long as this memory lives. */
  readonly struct: Uint8Array
  readonly address: bigint
}

/** Plans are shared by many calls: each is described to the library once. An entry lives as long as its plan. */
const nativePlans = new WeakMap<TilePlan, NativePlan>()

/** Address of the MagiFfaPlan of a plan. Valid for as long as the plan is alive. */
export function nativePlanAddress(plan: TilePlan): bigint {
  let native = nativePlans.get(plan)
  if (native === undefined) {
    native = packPlan(plan)
    nativePlans.set(plan, native)
  }
  return native.address
}

function packPlan(plan: TilePlan): NativePlan {
  const struct = PlanStruct.pack(
    {
      bands: addressOrNull(plan.bands),
      tile_order: addressOrNull(plan.tileOrder),
      tile_runs: addressOrNull(plan.tileRuns),
      runs: addressOrNull(plan.runs),
      run_bands: addressOrNull(plan.runBands),
      num_rows: plan.numRows,
      num_cols: plan.numCols,
      tile_rows: plan.tileRows,
      tile_cols: plan.tileCols,
      num_tiles: plan.numTiles,
      num_bands: plan.bands.length / BAND_FIELDS,
    },
    new Uint8Array(new ArrayBuffer(PlanStruct.sizeof)),
  )
  return { struct, address: addressOf(new Int32Array(struct.buffer)) }
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
