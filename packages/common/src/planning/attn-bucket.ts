import { checkInteger } from '../attn-range.js'
import { AttnRanges } from '../attn-ranges.js'
import type { AttnChunk } from './attn-chunk.js'
import type { AttnSlice } from './attn-slice.js'
import { rangesIou, rangesIouWith } from './iou.js'

export interface AttnBucketOptions {
  readonly cp_rank?: number | null
  readonly q_chunks?: Iterable<AttnChunk>
}

/** The chunks of one rank, or of the whole sequence. */
export class AttnBucket {
  readonly cp_rank: number | null
  /** May be added to. */
  readonly q_chunks: AttnChunk[]

  constructor({ cp_rank = null, q_chunks = [] }: AttnBucketOptions = {}) {
    this.cp_rank = cp_rank === null ? null : checkInteger(cp_rank, 'cp_rank', 0)
    this.q_chunks = [...q_chunks]
  }

  /** Query range of each slice, chunk by chunk. */
  get q_ranges(): AttnRanges {
    return AttnRanges.from_ranges(this.attn_slices.map(slice => slice.q_range))
  }

  /** Key range of each slice, chunk by chunk. */
  get k_ranges(): AttnRanges {
    return AttnRanges.from_ranges(this.attn_slices.map(slice => slice.k_range))
  }

  get attn_slices(): AttnSlice[] {
    return this.q_chunks.flatMap(chunk => chunk.q_slices)
  }

  /** Number of attended cells. */
  get area(): number {
    return this.areas.reduce((sum, area) => sum + area, 0)
  }

  /** Number of attended cells of each chunk. */
  get areas(): number[] {
    return this.q_chunks.map(chunk => chunk.area)
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
