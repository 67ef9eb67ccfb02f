import {
  AttnRanges,
  type GeneralAttnMaskType,
  InvalidRangeError,
  parse_attn_mask_types,
  type RangesLike,
  ShapeError,
  UnsupportedError,
} from '@magi-attention/common'
import { AttnArg, type DispatchMeta } from '@magi-attention/dispatch'
import { type KeysOf, requireFlag, requireOptions } from '../check.js'

export interface XattnOptions {
  /** Query ranges of the slices, in the dispatched sequence with its padding. */
  readonly ref_xattn_q_ranges: RangesLike
  /** Key ranges of the slices, in the other sequence. */
  readonly ref_xattn_k_ranges: RangesLike
  /** Only full. */
  readonly attn_mask_type: GeneralAttnMaskType | number | readonly (string | number)[]
  /**
   * True: the slices of this rank, whose queries count within its shard. Default false: those of all ranks, one rank after
   * the other, whose queries count within the sequence.
   */
  readonly return_host_only?: boolean | undefined
}

const xattnKeys: KeysOf<XattnOptions> = {
  ref_xattn_q_ranges: true,
  ref_xattn_k_ranges: true,
  attn_mask_type: true,
  return_host_only: true,
}

/** Cuts the slices by the chunks of the ranks. */
export function makeXattnArg(meta: DispatchMeta, rank: number, options: XattnOptions): AttnArg {
  requireOptions('get_xattn_args', options, xattnKeys)
  const refQ = requireRanges('ref_xattn_q_ranges', options.ref_xattn_q_ranges, meta.total_seqlen)
  const refK = requireRanges('ref_xattn_k_ranges', options.ref_xattn_k_ranges, Number.MAX_SAFE_INTEGER)
  if (refK.length !== refQ.length) {
    throw new ShapeError({
      argument: 'ref_xattn_k_ranges',
      expected: `${refQ.length} ranges, as many as ref_xattn_q_ranges`,
      actual: refK.length,
    })
  }
  parse_attn_mask_types(options.attn_mask_type, refQ.length).forEach((type, i) => {
    if (type === 'full') return
    throw new UnsupportedError({ argument: `attn_mask_type[${i}]`, expected: 'full', actual: type })
  })
  const isHostOnly = requireFlag('return_host_only', options.return_host_only)

  const q_ranges = new AttnRanges()
  const k_ranges = new AttnRanges()
  for (const each of isHostOnly ? [rank] : meta.partitions.keys()) {
    let local = 0
    for (const chunk of meta.hostRanges(each)) {
      const offset = isHostOnly ? local - chunk.start : 0
      local += chunk.seqlen
      for (let i = 0; i < refQ.length; i++) {
        const common = chunk.intersect(refQ.at(i))
        if (common.is_empty() || refK.at(i).is_empty()) continue
        q_ranges.append(common.offset(offset))
        k_ranges.append(refK.at(i))
      }
    }
  }
  return new AttnArg({ q_ranges, k_ranges, attn_type_map: new Array<number>(q_ranges.length).fill(0) })
}

function requireRanges(argument: string, value: RangesLike, total: number): AttnRanges {
  const ranges = AttnRanges.from_ranges(value, true)
  let i = 0
  for (const range of ranges) {
    if (range.start < 0 || range.end > total) {
      throw new InvalidRangeError({
        argument: `${argument}[${i}]`,
        expected: `a range within [0, ${total})`,
        actual: range,
      })
    }
    i++
  }
  return ranges
}
