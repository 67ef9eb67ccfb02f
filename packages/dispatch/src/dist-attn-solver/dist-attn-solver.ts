import {
  ArgumentError,
  AttnRanges,
  type Band,
  type GeneralAttnMaskType,
  InvalidRangeError,
  parse_attn_mask_types,
  type RangesLike,
  ShapeError,
  sliceToBand,
} from '@magi-attention/common'
import { OverlapConfig } from '../overlap/overlap-config.js'
import { requireInteger, requireOptions } from '../validate.js'
import { DistAttnPlan, type HeadSizes } from './dist-attn-plan.js'
import { Sharding, type ShardingOptions } from './sharding.js'

export interface DistAttnSolverOptions {
  /** A multiple of `num_heads_kv`. */
  readonly num_heads_q: number
  readonly num_heads_kv: number
  readonly head_dim: number
  /** Default: one remote stage. */
  readonly overlap_config?: OverlapConfig | undefined
  /** Whether sums over ranks take a fixed order. Default false. */
  readonly deterministic?: boolean | undefined
}

export interface DistAttnProblem {
  /** Global query ranges of the slices. */
  readonly q_ranges: RangesLike
  /** Global key ranges of the slices, as many as `q_ranges`. */
  readonly k_ranges: RangesLike
  /** One mask type for all slices, or one for each; names or codes. */
  readonly attn_mask_type: GeneralAttnMaskType | number | ArrayLike<string | number>
  /** Where the queries are: a `DispatchMeta`, or its sizes and partitions. */
  readonly dispatch_meta_q: ShardingOptions
  /** Where the keys are. Default: beside the queries. */
  readonly dispatch_meta_k?: ShardingOptions | undefined
}

/**
 * The static solver of distributed attention: queries stay on their ranks, keys and values travel.
 *
 * The mask is the union of the slices. The result is a pure function of the mask, the sharding and the
 * options, so all ranks find the same without talking to each other.
 */
export class DistAttnSolver {
  readonly overlap_config: OverlapConfig
  private readonly heads: HeadSizes
  private readonly deterministic: boolean

  /** @throws `ArgumentError` for sizes that are not positive integers, or heads that do not divide */
  constructor(options: DistAttnSolverOptions) {
    requireOptions(options, 'options', '{ num_heads_q, num_heads_kv, head_dim, … }')
    const num_heads_q = requireInteger(options.num_heads_q, 'num_heads_q', 1)
    const num_heads_kv = requireInteger(options.num_heads_kv, 'num_heads_kv', 1)
    if (num_heads_q % num_heads_kv !== 0) {
      const expected = `a multiple of num_heads_kv = ${num_heads_kv}`
      throw new ArgumentError({ argument: 'num_heads_q', expected, actual: num_heads_q })
    }
    this.heads = { num_heads_q, num_heads_kv, head_dim: requireInteger(options.head_dim, 'head_dim', 1) }
    const { overlap_config = new OverlapConfig(), deterministic = false } = options
    if (!(overlap_config instanceof OverlapConfig)) {
      throw new ArgumentError({
        argument: 'overlap_config',
        expected: 'an OverlapConfig',
        actual: overlap_config,
        hint: 'Pass new OverlapConfig({ … }).',
      })
    }
    if (typeof deterministic !== 'boolean') {
      throw new ArgumentError({ argument: 'deterministic', expected: 'a boolean', actual: deterministic })
    }
    this.overlap_config = overlap_config
    this.deterministic = deterministic
  }

  /**
   * The plan of all ranks; `solveRank` gives the part of one.
   * @throws `InvalidRangeError` for ranges that are malformed or leave the sequence
   * @throws `ShapeError` for lists of different lengths
   * @throws `ArgumentError` for an unknown mask type or a sharding that cannot be
   */
  solve(problem: DistAttnProblem): DistAttnPlan {
    requireOptions(problem, 'problem', '{ q_ranges, k_ranges, attn_mask_type, dispatch_meta_q, … }')
    const queries = new Sharding(problem.dispatch_meta_q, 'dispatch_meta_q')
    const { dispatch_meta_k } = problem
    const keys = dispatch_meta_k === undefined ? queries : new Sharding(dispatch_meta_k, 'dispatch_meta_k')
    return new DistAttnPlan({
      ...this.heads,
      bands: parseBands(problem, queries.total_seqlen, keys.total_seqlen),
      queries,
      keys,
      overlap_config: this.overlap_config,
      deterministic: this.deterministic,
    })
  }
}

function parseBands(problem: DistAttnProblem, total_seqlen_q: number, total_seqlen_k: number): Band[] {
  const q = parseRanges(problem.q_ranges, total_seqlen_q, 'q_ranges')
  const k = parseRanges(problem.k_ranges, total_seqlen_k, 'k_ranges')
  if (q.length !== k.length) {
    const expected = `${q.length} ranges, as many as q_ranges`
    throw new ShapeError({ argument: 'k_ranges', expected, actual: k.length })
  }
  const types = parse_attn_mask_types(problem.attn_mask_type, q.length)
  return types.map((type, i) => sliceToBand(q.at(i), k.at(i), type))
}

function parseRanges(given: RangesLike, total: number, argument: string): AttnRanges {
  if (typeof (given as Iterable<unknown> | null | undefined)?.[Symbol.iterator] !== 'function') {
    throw new ArgumentError({ argument, expected: 'AttnRanges or a list of ranges', actual: given })
  }
  const ranges = AttnRanges.from_ranges(given, true)
  let i = 0
  for (const { start, end } of ranges) {
    if (start < 0 || end > total) {
      throw new InvalidRangeError({
        argument: `${argument}[${i}]`,
        expected: `a range within [0, ${total})`,
        actual: `[${start}, ${end})`,
      })
    }
    i++
  }
  return ranges
}
