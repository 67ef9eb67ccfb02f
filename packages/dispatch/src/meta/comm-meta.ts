import { ArgumentError, ShapeError } from '@magi-attention/common'
import { requireInteger } from '../validate.js'
import type { GroupCollectiveArg } from './group-collective-arg.js'

export interface CommMetaOptions {
  /** Keys, each with its value, received in each stage. */
  readonly num_remote_kv_tokens_per_stage: readonly number[]
  readonly kv_group_collective_args_list: readonly GroupCollectiveArg[]
  /** Queries (backward: with their outputs and gradients) received in each stage. Default: none. */
  readonly num_remote_qo_tokens_per_stage?: readonly number[] | undefined
  /** `null` for a stage in which no query travels. Default: none does. */
  readonly qo_group_collective_args_list?: readonly (GroupCollectiveArg | null)[] | undefined
  readonly num_heads_q: number
  readonly num_heads_kv: number
  readonly head_dim: number
}

/** Bytes of one stage. */
export interface StageBytes {
  readonly sent: number
  readonly received: number
}

/** What one rank sends and receives in each remote stage. */
export class CommMeta {
  readonly num_remote_kv_tokens_per_stage: readonly number[]
  readonly kv_group_collective_args_list: readonly GroupCollectiveArg[]
  readonly num_remote_qo_tokens_per_stage: readonly number[]
  readonly qo_group_collective_args_list: readonly (GroupCollectiveArg | null)[]
  readonly num_heads_q: number
  readonly num_heads_kv: number
  readonly head_dim: number

  /**
   * @throws `ShapeError` unless all lists have one entry for each stage
   * @throws `ArgumentError` for counts that are not integers, and unless each plan brings as many
   *   tokens as are told
   */
  constructor(options: CommMetaOptions) {
    const stages = options.kv_group_collective_args_list.length
    this.kv_group_collective_args_list = [...options.kv_group_collective_args_list]
    this.num_remote_kv_tokens_per_stage = [...options.num_remote_kv_tokens_per_stage]
    this.num_remote_qo_tokens_per_stage = [
      ...(options.num_remote_qo_tokens_per_stage ?? new Array<number>(stages).fill(0)),
    ]
    this.qo_group_collective_args_list = [
      ...(options.qo_group_collective_args_list ?? new Array<null>(stages).fill(null)),
    ]
    this.num_heads_q = requireInteger(options.num_heads_q, 'num_heads_q', 1)
    this.num_heads_kv = requireInteger(options.num_heads_kv, 'num_heads_kv', 1)
    this.head_dim = requireInteger(options.head_dim, 'head_dim', 1)
    requireTokens(this.num_remote_kv_tokens_per_stage, this.kv_group_collective_args_list, stages, 'kv')
    requireTokens(this.num_remote_qo_tokens_per_stage, this.qo_group_collective_args_list, stages, 'qo')
  }

  /** Number of remote stages. */
  get overlap_degree(): number {
    return this.kv_group_collective_args_list.length
  }

  /**
   * Bytes of k and v that this rank sends and receives in each stage; dk and dv take the same way back, with
   * the roles swapped.
   * @param bytes_per_element - size of the dtype on the wire. Default 2: bfloat16, float16
   */
  kv_bytes_per_stage(bytes_per_element = 2): StageBytes[] {
    requireInteger(bytes_per_element, 'bytes_per_element', 1)
    return this.kv_group_collective_args_list.map(arg =>
      stageBytes(arg, 2 * this.num_heads_kv * this.head_dim * bytes_per_element),
    )
  }

  /**
   * Bytes of q that this rank sends and receives in each stage.
   * @param bytes_per_element - size of the dtype on the wire. Default 2: bfloat16, float16
   */
  q_bytes_per_stage(bytes_per_element = 2): StageBytes[] {
    requireInteger(bytes_per_element, 'bytes_per_element', 1)
    return this.qo_group_collective_args_list.map(arg =>
      stageBytes(arg, this.num_heads_q * this.head_dim * bytes_per_element),
    )
  }
}

function stageBytes(arg: GroupCollectiveArg | null, bytesPerToken: number): StageBytes {
  return {
    sent: (arg?.num_sent_tokens ?? 0) * bytesPerToken,
    received: (arg?.num_received_tokens ?? 0) * bytesPerToken,
  }
}

function requireTokens(
  tokens: readonly number[],
  args: readonly (GroupCollectiveArg | null)[],
  stages: number,
  side: 'kv' | 'qo',
): void {
  const argument = `num_remote_${side}_tokens_per_stage`
  const plans = `${side}_group_collective_args_list`
  for (const [name, list] of [
    [argument, tokens],
    [plans, args],
  ] as const) {
    if (list.length === stages) continue
    throw new ShapeError({
      argument: name,
      expected: `${stages} entries, one for each stage`,
      actual: list.length,
    })
  }
  tokens.forEach((count, stage) => {
    const received = args[stage]?.num_received_tokens ?? 0
    if (count === received) return
    const expected = `${received} tokens, as ${plans}[${stage}] brings`
    throw new ArgumentError({ argument: `${argument}[${stage}]`, expected, actual: count })
  })
}
