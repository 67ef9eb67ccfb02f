import type { AttnRanges } from '../attn-ranges.js'
import { IndexError, ShapeError } from '../errors/index.js'
import type { AttnSlice } from './attn-slice.js'
import type { MultiKAttnSlice } from './multi-k-attn-slice.js'

export interface HostRankEntryOptions {
  /** Queries that the rank holds, global positions, in local order. */
  readonly host_q_ranges_global: AttnRanges
  /** Keys that the rank holds, global positions, in local order. */
  readonly host_k_ranges_global: AttnRanges
  /** Keys of other ranks that the rank needs, global positions, merged. */
  readonly remote_k_ranges_global: AttnRanges
  /** The same, split into the chunks that travel together. */
  readonly remote_k_ranges_global_per_chunk: readonly AttnRanges[]
  /** Work on the rank's own keys, local positions. */
  readonly attn_calc_host_slice_local_list: readonly AttnSlice[]
  /** Work on the keys of each remote chunk. */
  readonly attn_calc_remote_slice_list_per_chunk: readonly (readonly MultiKAttnSlice[])[]
}

/** What one rank has, needs and computes. */
export class HostRankEntry implements HostRankEntryOptions {
  readonly host_q_ranges_global: AttnRanges
  readonly host_k_ranges_global: AttnRanges
  readonly remote_k_ranges_global: AttnRanges
  readonly remote_k_ranges_global_per_chunk: readonly AttnRanges[]
  readonly attn_calc_host_slice_local_list: readonly AttnSlice[]
  readonly attn_calc_remote_slice_list_per_chunk: readonly (readonly MultiKAttnSlice[])[]

  /** @throws {@link ShapeError} unless both lists by chunk have the same length */
  constructor(options: HostRankEntryOptions) {
    this.host_q_ranges_global = options.host_q_ranges_global
    this.host_k_ranges_global = options.host_k_ranges_global
    this.remote_k_ranges_global = options.remote_k_ranges_global
    this.remote_k_ranges_global_per_chunk = [...options.remote_k_ranges_global_per_chunk]
    this.attn_calc_host_slice_local_list = [...options.attn_calc_host_slice_local_list]
    this.attn_calc_remote_slice_list_per_chunk = options.attn_calc_remote_slice_list_per_chunk.map(list => [
      ...list,
    ])
    const chunks = this.remote_k_ranges_global_per_chunk.length
    if (this.attn_calc_remote_slice_list_per_chunk.length !== chunks) {
      throw new ShapeError({
        argument: 'attn_calc_remote_slice_list_per_chunk',
        expected: `${chunks} lists, one for each remote chunk`,
        actual: this.attn_calc_remote_slice_list_per_chunk.length,
      })
    }
  }

  /** Number of cells computed on the rank's own keys. */
  get_host_calc_area(): number {
    return totalArea(this.attn_calc_host_slice_local_list)
  }

  /**
   * Number of cells computed on the keys of one remote chunk, or of all.
   * @throws {@link IndexError} for a chunk that does not exist
   */
  get_remote_calc_area(chunk_idx: number | null = null): number {
    return totalArea(chosen(this.attn_calc_remote_slice_list_per_chunk, chunk_idx).flat())
  }

  /**
   * Number of keys received for one remote chunk, or for all.
   * @throws {@link IndexError} for a chunk that does not exist
   */
  get_remote_comm_size(chunk_idx: number | null = null): number {
    return chosen(this.remote_k_ranges_global_per_chunk, chunk_idx).reduce(
      (sum, ranges) => sum + ranges.total_seqlen,
      0,
    )
  }
}

function totalArea(slices: readonly { readonly area: number }[]): number {
  return slices.reduce((sum, slice) => sum + slice.area, 0)
}

function chosen<T>(perChunk: readonly T[], chunk: number | null): readonly T[] {
  if (chunk === null) return perChunk
  const one = perChunk[chunk]
  if (one !== undefined) return [one]
  throw new IndexError({ argument: 'chunk_idx', expected: `a chunk below ${perChunk.length}`, actual: chunk })
}
