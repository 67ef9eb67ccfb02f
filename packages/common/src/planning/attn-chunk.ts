import { checkInteger } from '../attn-range.js'
import { AttnRanges } from '../attn-ranges.js'
import type { AttnSlice } from './attn-slice.js'
import { rangesIou, rangesIouWith } from './iou.js'

export interface AttnChunkOptions {
  readonly chunk_id?: number | null
  readonly q_slices?: Iterable<AttnSlice>
  /** For each slice, which slice of the whole mask it was cut from. */
  readonly sample_ids?: Iterable<number>
}

/** The slices of a mask that fall into one chunk of the query sequence. */
export class AttnChunk {
  readonly chunk_id: number | null
  /** May be added to. */
  readonly q_slices: AttnSlice[]
  /** May be added to, together with `q_slices`. */
  readonly sample_ids: number[]

  constructor({ chunk_id = null, q_slices = [], sample_ids = [] }: AttnChunkOptions = {}) {
    this.chunk_id = chunk_id === null ? null : checkInteger(chunk_id, 'chunk_id')
    this.q_slices = [...q_slices]
    this.sample_ids = [...sample_ids]
  }

  /** Query range of each slice. */
  get q_ranges(): AttnRanges {
    return AttnRanges.from_ranges(this.q_slices.map(slice => slice.q_range))
  }

  /** Key range of each slice. */
  get k_ranges(): AttnRanges {
    return AttnRanges.from_ranges(this.q_slices.map(slice => slice.k_range))
  }

  get attn_slices(): AttnSlice[] {
    return [...this.q_slices]
  }

  /** Number of attended cells. */
  get area(): number {
    return this.q_slices.reduce((sum, slice) => sum + slice.area, 0)
  }

  /** How much the key ranges repeat themselves: `intersect_size() / union_size()`, 0 without keys. */
  get iou(): number {
    return rangesIou(this.k_ranges)
  }

  /**
   * How much the key ranges of both repeat themselves: `intersect_size_with / union_size_with`, 0 without
   * keys.
   */
  iou_with(other: { readonly k_ranges: AttnRanges }): number {
    return rangesIouWith(this.k_ranges, other.k_ranges)
  }
}
