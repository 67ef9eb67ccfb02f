import { type Band, tightenBand } from '@magi-attention/common'
import type { Sharding } from './sharding.js'

/** Which bands have cells in the rows of which query run. */
export class BandIncidence {
  /** Bands of run `i`: `bandIds[offsets[i] .. offsets[i + 1])`. */
  private readonly offsets: Float64Array
  private readonly bandIds: Int32Array
  private readonly bands: readonly Band[]
  private readonly sharding: Sharding

  /**
   * A sweep over the runs: O(n log n + r a) for `n` tight bands, `r` runs, and `a` bands in a row.
   * @param sharding - of the queries
   */
  constructor(bands: readonly Band[], sharding: Sharding) {
    this.bands = bands
    this.sharding = sharding
    const order = Array.from(bands, (_, id) => id).sort((a, b) => bands[a]!.q0 - bands[b]!.q0)
    const { runStarts, runEnds } = sharding
    this.offsets = new Float64Array(runStarts.length + 1)
    const ids: number[] = []
    let active: number[] = []
    let next = 0
    for (let run = 0; run < runStarts.length; run++) {
      const start = runStarts[run]!
      const end = runEnds[run]!
      active = active.filter(id => bands[id]!.q1 > start)
      for (; next < order.length && bands[order[next]!]!.q0 < end; next++) active.push(order[next]!)
      for (const id of active) ids.push(id)
      this.offsets[run + 1] = ids.length
    }
    this.bandIds = Int32Array.from(ids)
  }

  /** Number of pairs of a run and a band in it. */
  get numPairs(): number {
    return this.bandIds.length
  }

  /**
   * Calls `visit` with each part of the mask in the rows of one rank, ascending by run: a tight band in
   * global positions, so its `[k0, k1)` are exactly the keys that these rows need.
   * @param visit - gets the band and the query run that holds its rows
   */
  forEachBand(rank: number, visit: (band: Band, run: number) => void): void {
    for (const run of this.sharding.runsOf(rank)) {
      const start = this.sharding.runStarts[run]!
      const end = this.sharding.runEnds[run]!
      for (let i = this.offsets[run]!; i < this.offsets[run + 1]!; i++) {
        const band = this.bands[this.bandIds[i]!]!
        const inside = band.q0 >= start && band.q1 <= end
        const part = inside
          ? band
          : tightenBand({ ...band, q0: Math.max(band.q0, start), q1: Math.min(band.q1, end) })
        if (part !== null) visit(part, run)
      }
    }
  }
}
