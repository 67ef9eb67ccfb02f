import { type Device, from_typed_array, keep } from '@magi-attention/tensor'
import { isDense, type TilePlan } from '../plan/index.js'
import { describePlan, hostPlan, type NativePlan } from './native-plan.js'

/** Arrays begin at multiples of 64 integers: 256 bytes. */
const ALIGNMENT = 64

/** Copies by plan, then by device and stream. They leave with their plan. */
const uploads = new WeakMap<TilePlan, Map<string, NativePlan>>()

/**
 * Describes a plan made on the host with its arrays on a GPU. It is copied once for each device and stream: the copy is made
 * in the order of the current one. Dense plans need no copy.
 */
export function uploadedPlan(plan: TilePlan, device: Device, stream: bigint): NativePlan {
  if (isDense(plan)) return hostPlan(plan)
  let copies = uploads.get(plan)
  if (copies === undefined) {
    copies = new Map()
    uploads.set(plan, copies)
  }
  const place = `${device} ${stream}`
  let native = copies.get(place)
  if (native === undefined) {
    native = upload(plan, device)
    copies.set(place, native)
  }
  return native
}

function upload(plan: TilePlan, device: Device): NativePlan {
  const arrays = [plan.bands, plan.tileOrder!, plan.tileRuns!, plan.runs!, plan.runBands!]
  const begins: number[] = []
  let length = 0
  for (const array of arrays) {
    begins.push(length)
    // At least one integer each: two arrays never begin at the same address.
    length += Math.ceil(Math.max(array.length, 1) / ALIGNMENT) * ALIGNMENT
  }
  const all = new Int32Array(length)
  arrays.forEach((array, i) => {
    all.set(array, begins[i]!)
  })
  using host = from_typed_array(all, [length])
  const memory = keep(host.to(device))
  const base = memory.data_ptr()
  const [bands, tile_order, tile_runs, runs, run_bands] = begins.map(begin => base + BigInt(4 * begin)) as [
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
  ]
  return describePlan(plan, { bands, tile_order, tile_runs, runs, run_bands }, memory)
}
