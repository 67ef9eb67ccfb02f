import type { AttnRanges } from '../attn-ranges.js'
import type { AttnSlice } from './attn-slice.js'

export interface RemoteRankEntryOptions {
  /** Keys that the rank holds, global positions. */
  readonly host_k_ranges_global: AttnRanges
  /** Keys that the rank receives in this stage, global positions: the layout of its receive buffer. */
  readonly remote_k_ranges_global: AttnRanges
  /** Work of this stage; keys are positions in the receive buffer. */
  readonly attn_calc_remote_slice_local_list: readonly AttnSlice[]
}

/** What one rank receives and computes in one remote stage. */
export class RemoteRankEntry implements RemoteRankEntryOptions {
  readonly host_k_ranges_global: AttnRanges
  readonly remote_k_ranges_global: AttnRanges
  readonly attn_calc_remote_slice_local_list: readonly AttnSlice[]

  constructor(options: RemoteRankEntryOptions) {
    this.host_k_ranges_global = options.host_k_ranges_global
    this.remote_k_ranges_global = options.remote_k_ranges_global
    this.attn_calc_remote_slice_local_list = [...options.attn_calc_remote_slice_local_list]
  }
}
