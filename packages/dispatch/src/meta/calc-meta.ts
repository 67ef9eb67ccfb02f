import { ArgumentError, ShapeError } from '@magi-attention/common'
import { requireInteger } from '../validate.js'
import { AttnArg } from './attn-arg.js'

export interface CalcMetaOptions {
  /** On the rank's own keys. */
  readonly local_attn_arg: AttnArg
  /** For each remote stage, on its receive buffer. */
  readonly remote_attn_args_list: readonly AttnArg[]
  /** Whether everything is computed in one call, on `[own keys; received keys]`. Default false. */
  readonly no_overlap?: boolean | undefined
  readonly headdim: number
  /** Queries of this rank. */
  readonly seqlen_q_shard: number
  /** Keys of this rank. */
  readonly seqlen_k_local: number
  /** Keys received in each remote stage. */
  readonly seqlen_k_per_remote_stage: readonly number[]
}

/** What one rank computes: one kernel call on its own keys and one for each remote stage. */
export class CalcMeta {
  readonly local_attn_arg: AttnArg
  readonly remote_attn_args_list: readonly AttnArg[]
  readonly no_overlap: boolean
  readonly headdim: number
  readonly seqlen_q_shard: number
  readonly seqlen_k_local: number
  readonly seqlen_k_per_remote_stage: readonly number[]
  /**
   * All of it as one call, whose keys are `[own keys; received keys of each stage in turn]`; `null` unless
   * `no_overlap`.
   */
  readonly merged_attn_arg: AttnArg | null

  /**
   * @throws `ShapeError` unless there is one length for each remote stage
   * @throws `ArgumentError` for lengths that are not integers >= 0
   */
  constructor(options: CalcMetaOptions) {
    this.local_attn_arg = options.local_attn_arg
    this.remote_attn_args_list = [...options.remote_attn_args_list]
    this.no_overlap = options.no_overlap ?? false
    if (typeof this.no_overlap !== 'boolean') {
      throw new ArgumentError({ argument: 'no_overlap', expected: 'a boolean', actual: this.no_overlap })
    }
    this.headdim = requireInteger(options.headdim, 'headdim', 1)
    this.seqlen_q_shard = requireInteger(options.seqlen_q_shard, 'seqlen_q_shard')
    this.seqlen_k_local = requireInteger(options.seqlen_k_local, 'seqlen_k_local')
    this.seqlen_k_per_remote_stage = Array.from(options.seqlen_k_per_remote_stage, (seqlen, i) =>
      requireInteger(seqlen, `seqlen_k_per_remote_stage[${i}]`),
    )
    if (this.seqlen_k_per_remote_stage.length !== this.overlap_degree) {
      throw new ShapeError({
        argument: 'seqlen_k_per_remote_stage',
        expected: `${this.overlap_degree} lengths, one for each remote stage`,
        actual: this.seqlen_k_per_remote_stage.length,
      })
    }
    this.merged_attn_arg = this.no_overlap ? this.merge() : null
  }

  /** Number of remote stages. */
  get overlap_degree(): number {
    return this.remote_attn_args_list.length
  }

  /** Number of cells that this rank computes. */
  get total_area(): number {
    return this.remote_attn_args_list.reduce(
      (sum, arg) => sum + arg.total_area,
      this.local_attn_arg.total_area,
    )
  }

  private merge(): AttnArg {
    const remote = this.remote_attn_args_list.map((arg, stage) => ({
      arg,
      seqlen_k: this.seqlen_k_per_remote_stage[stage]!,
    }))
    return AttnArg.join([{ arg: this.local_attn_arg, seqlen_k: this.seqlen_k_local }, ...remote])
  }
}
