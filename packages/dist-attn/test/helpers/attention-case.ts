import {
  type AttnMaskType,
  AttnRanges,
  infer_attn_mask_from_cu_seqlens,
  infer_attn_mask_from_sliding_window,
  type RangesLike,
} from '@magi-attention/common'
import type { DType } from '@magi-attention/tensor'

export interface Slices {
  readonly q_ranges: readonly (readonly [number, number])[]
  readonly k_ranges: readonly (readonly [number, number])[]
  readonly attn_mask_type: readonly (AttnMaskType | number)[]
}

/** Remote stages: a number, or chosen by cost. */
export type Degree = number | 'dynamic'

/** A problem for all ranks; plain data, so that it travels as JSON. Values follow from the seed. */
export interface AttentionCase extends Slices {
  readonly name: string
  readonly total: number
  readonly chunk_size: number
  readonly uneven: boolean
  readonly degree: Degree
  readonly heads: readonly [q: number, kv: number, head_dim: number]
  readonly sinkTokens: number
  readonly softcap: number
  readonly softmax_scale: number | null
  readonly dtype: DType
  /** Beside those of the process. */
  readonly env: Readonly<Record<string, string>>
  /** The same, on ranks of even number only. */
  readonly envOfEvenRanks?: Readonly<Record<string, string>>
  readonly seed: number
}

const pairs = (ranges: RangesLike) => AttnRanges.from_ranges(ranges).to_naive_ranges()

function fromInferred([q, k, types]: readonly [
  RangesLike,
  RangesLike,
  readonly AttnMaskType[],
  ...unknown[],
]): Slices {
  return { q_ranges: pairs(q), k_ranges: pairs(k), attn_mask_type: types }
}

function varlen(total: number, lengths: readonly number[], options: object): Slices {
  const ends = [0]
  for (const length of lengths) ends.push(Math.min(total, ends.at(-1)! + length))
  ends.push(total)
  const cu_seqlens = [...new Set(ends)]
  return fromInferred(
    infer_attn_mask_from_cu_seqlens({ cu_seqlens_q: cu_seqlens, cu_seqlens_k: cu_seqlens, ...options }),
  )
}

function blockCausal(total: number, block: number): Slices {
  const starts = Array.from({ length: Math.ceil(total / block) }, (_, i) => i * block)
  return {
    q_ranges: starts.map(start => [start, Math.min(total, start + block)]),
    k_ranges: starts.map(start => [0, Math.min(total, start + block)]),
    attn_mask_type: starts.map(() => 'full'),
  }
}

/** One mask of each family, for a sequence of some length. */
export const maskFamilies: Readonly<Record<string, (total: number) => Slices>> = {
  full: total => ({ q_ranges: [[0, total]], k_ranges: [[0, total]], attn_mask_type: ['full'] }),
  causal: total => ({ q_ranges: [[0, total]], k_ranges: [[0, total]], attn_mask_type: ['causal'] }),
  'varlen full': total => varlen(total, [7, 23, 1, 30], {}),
  'varlen causal': total => varlen(total, [19, 5, 33], { causal: true }),
  'block-causal': total => blockCausal(total, 17),
  'sliding window': total =>
    fromInferred(
      infer_attn_mask_from_sliding_window({ q_range: [0, total], k_range: [0, total], window_size: [11, 3] }),
    ),
  'global and window': total => varlen(total, [37], { window_size: [9, 0], global_window_size: 4 }),
  'all types': total => {
    const [a, b, c] = [1, 2, 3].map(i => Math.floor((i * total) / 4)) as [number, number, number]
    return {
      q_ranges: [
        [0, a],
        [a, b],
        [b, c],
        [c, total],
      ],
      k_ranges: [
        [0, total],
        [3, c],
        [a, total],
        [0, total],
      ],
      attn_mask_type: ['inv_causal', 'bi_causal', 'causal', 'full'],
    }
  },
  'rows without keys': total => ({
    q_ranges: [
      [Math.floor(total / 3), Math.floor(total / 2)],
      [Math.floor(total / 2) + 5, total],
    ],
    k_ranges: [
      [2, 5],
      [0, 9],
    ],
    attn_mask_type: ['causal', 'full'],
  }),
}

export const caseDefaults = {
  total: 96,
  chunk_size: 6,
  uneven: false,
  degree: 1,
  heads: [2, 1, 8],
  sinkTokens: 0,
  softcap: 0,
  softmax_scale: null,
  dtype: 'float32',
  env: {},
} as const satisfies Partial<AttentionCase>
