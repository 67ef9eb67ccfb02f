import type { ProcessGroup } from '@magi-attention/comm'
import { ArgumentError, ShapeError, UnsupportedError } from '@magi-attention/common'
import {
  type AttnArg,
  type AttnRole,
  type CalcMeta,
  type CommMeta,
  type DispatchMeta,
  type DistAttnProblem,
  DistAttnSolver,
  DynamicAttnSolver,
  type DynamicRankPlan,
  type RankPlan,
} from '@magi-attention/dispatch'
import type { AttnForwardMeta } from '@magi-attention/ffa-kernel'
import { pad_at_dim, type Tensor, tensor, unpad_at_dim } from '@magi-attention/tensor'
import { assertTensor, dtypeSize, isFloatDType } from '@magi-attention/tensor/internal'
import { checkCall, type LocalTensors, parseScores } from '../attention/check-call.js'
import { distAttnFunc } from '../attention/dist-attn-func.js'
import { qoAttnFunc } from '../attention/qo-attn-func.js'
import type { Scores } from '../attention/stage.js'
import { requireFlag, requireInteger } from '../check.js'
import { readSwitches } from '../env.js'
import { dispatchRows, undispatchRows } from '../movement/dispatch.js'
import { rollByGather, rollByPieces, rollRows } from '../movement/roll.js'
import type { ShardedSequence } from '../movement/shard-collectives.js'
import { TokenLayout } from '../movement/token-layout.js'
import type { AttnHeads, DistAttnRuntimeKey } from './runtime-key.js'
import { makeXattnArg, type XattnOptions } from './xattn-arg.js'

export interface CalcAttnTensors {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly sink?: Tensor | null | undefined
  readonly softmax_scale?: number | null | undefined
  readonly softcap?: number | undefined
  readonly return_max_logits?: boolean | undefined
}

/** What was planned for a key, and the operations on it. The functions of the API look one up and call it. */
export class DistAttnRuntimeMgr {
  readonly key: DistAttnRuntimeKey
  /** Which query tokens are where. */
  readonly dispatch_meta_q: DispatchMeta
  /** Which key tokens are where: beside the queries. */
  readonly dispatch_meta_k: DispatchMeta
  readonly #sequence: ShardedSequence
  #plan: RankPlan | undefined
  /** By numbers of heads. */
  readonly #qoPlans = new Map<string, DynamicRankPlan>()

  /** @internal */
  constructor(key: DistAttnRuntimeKey, metas: readonly [q: DispatchMeta, k: DispatchMeta]) {
    this.key = key
    ;[this.dispatch_meta_q, this.dispatch_meta_k] = metas
    this.#sequence = { layout: new TokenLayout(this.dispatch_meta_q), group: key.cp_group }
  }

  get group(): ProcessGroup {
    return this.key.cp_group
  }

  /**
   * What this rank receives, sends and computes while queries stay. Solved at the first use.
   * @throws UnsupportedError for a key with qo_comm: see `qo_plan`
   */
  get plan(): RankPlan {
    if (this.key.qo_comm) {
      const expected = 'a key without qo_comm'
      throw new UnsupportedError({ argument: 'key', expected, actual: this.key, hint: 'Use qo_plan.' })
    }
    this.#plan ??= this.solve()
    return this.#plan
  }

  /**
   * What this rank receives, sends and computes while queries travel, too. Solved at the first use.
   *
   * @param heads decide what a query weighs against a key
   * @param bytes_per_element size of the dtype on the wire. Default 2: bfloat16, float16
   * @throws UnsupportedError for a key without qo_comm
   */
  qo_plan(heads: AttnHeads, bytes_per_element = 2): DynamicRankPlan {
    if (!this.key.qo_comm) {
      throw new UnsupportedError({ argument: 'key', expected: 'a key with qo_comm', actual: this.key })
    }
    const name = [heads.num_heads_q, heads.num_heads_kv, heads.head_dim, bytes_per_element].join('/')
    const known = this.#qoPlans.get(name)
    if (known) return known
    const { deterministic } = this.key
    const solver = new DynamicAttnSolver({ ...heads, bytes_per_element, deterministic })
    const plan = solver.solve(this.problem()).solveRank(this.group.rank())
    this.#qoPlans.set(name, plan)
    return plan
  }

  /** What this rank computes. */
  get calc_meta(): CalcMeta {
    return this.plan.calc_meta
  }

  /** What this rank sends and receives; for one head of one element, if the key was made without heads. */
  get comm_meta(): CommMeta {
    return this.plan.comm_meta
  }

  /** Pads and shards `[total, …]` into `[shard_seqlen, …]`. */
  dispatch_qo(x: Tensor, pad_value = 0): Tensor {
    const { pad_size, total_seqlen_q } = this.key
    const rows = total_seqlen_q - pad_size
    assertTensor('x', x)
    if (x.ndim === 0 || x.shape[0] !== rows) {
      throw new ShapeError({ argument: 'x', expected: `${rows} rows, the tokens of the key`, actual: x })
    }
    if (typeof pad_value !== 'number') {
      throw new ArgumentError({ argument: 'pad_value', expected: 'a number', actual: pad_value })
    }
    if (pad_size === 0) return dispatchRows(x, this.#sequence)
    using padded = pad_at_dim(x, 0, pad_size, pad_value)
    return dispatchRows(padded, this.#sequence)
  }

  /** As `dispatch_qo`: keys lie beside queries. */
  dispatch_kv(x: Tensor, pad_value = 0): Tensor {
    return this.dispatch_qo(x, pad_value)
  }

  /** The inverse of `dispatch_qo`. */
  undispatch_qo(x: Tensor, is_partial_grad = false): Tensor {
    this.requireLocal(x)
    const isPartial = requireFlag('is_partial_grad', is_partial_grad)
    if (isPartial && !isFloatDType(x.dtype)) {
      throw new ArgumentError({ argument: 'is_partial_grad', expected: 'false for integers', actual: true })
    }
    const { pad_size } = this.key
    if (pad_size === 0) return undispatchRows(x, this.#sequence, isPartial)
    using padded = undispatchRows(x, this.#sequence, isPartial)
    return unpad_at_dim(padded, 0, pad_size)
  }

  /** The inverse of `dispatch_kv`. */
  undispatch_kv(x: Tensor, is_partial_grad = false): Tensor {
    return this.undispatch_qo(x, is_partial_grad)
  }

  /** Rolls the padded sequence; rows go straight from rank to rank. */
  roll(x: Tensor, shift: number, dim = 0): Tensor {
    this.checkRoll(x, shift, dim)
    return rollRows(x, this.#sequence, shift, rollByPieces)
  }

  /** The same result as `roll`, over the whole sequence on every rank. */
  roll_simple(x: Tensor, shift: number, dim = 0): Tensor {
    this.checkRoll(x, shift, dim)
    return rollRows(x, this.#sequence, shift, rollByGather)
  }

  /** Attention of this rank's queries. */
  calc_attn(options: CalcAttnTensors): [out: Tensor, meta: AttnForwardMeta] {
    const { q, k, v } = options
    const sink = options.sink ?? null
    const returnMaxLogits = requireFlag('return_max_logits', options.return_max_logits)
    const scores = parseScores(options.softmax_scale, options.softcap)
    const { precision } = this.key
    if (precision === null || q?.dtype === precision) {
      return this.attend({ q, k, v, sink }, scores, returnMaxLogits)
    }
    for (const [argument, value] of Object.entries({ q, k, v })) assertTensor(argument, value)
    using castQ = q.to(precision)
    using castK = k.to(precision)
    using castV = v.to(precision)
    const [out, meta] = this.attend({ q: castQ, k: castK, v: castV, sink }, scores, returnMaxLogits)
    using computed = out
    return [computed.to(q.dtype), meta]
  }

  private attend(
    tensors: LocalTensors,
    scores: Scores,
    returnMaxLogits: boolean,
  ): [out: Tensor, meta: AttnForwardMeta] {
    const { q, k, v, sink } = tensors
    const { heads, cp_mesh: mesh, qo_comm } = this.key
    const { group } = this
    checkCall(tensors, scores, { heads, rows: this.dispatch_meta_q.shard_seqlen, qo_comm })
    const options = { scores, returnMaxLogits, switches: readSwitches() }
    if (!qo_comm) return distAttnFunc([q, k, v, sink], { ...options, part: { plan: this.plan, group, mesh } })
    const [, num_heads_q, head_dim] = q.shape as [number, number, number]
    const found = { num_heads_q, num_heads_kv: k.shape[1]!, head_dim }
    const plan = this.qo_plan(found, dtypeSize(q.dtype))
    return qoAttnFunc([q, k, v, sink], { ...options, part: { plan, group } })
  }

  /**
   * Position in the whole sequence of each token of this rank, int32 `[shard_seqlen]`. Padding has the last position of
   * a query that attends to something.
   */
  get_position_ids(attn_role: AttnRole = 'query'): Tensor {
    if (attn_role !== 'query' && attn_role !== 'key') {
      throw new ArgumentError({ argument: 'attn_role', expected: "'query' or 'key'", actual: attn_role })
    }
    return tensor(this.dispatch_meta_q.position_ids)
  }

  /**
   * The mask of attention from the dispatched queries to keys that are not dispatched, such as those of another sequence.
   *
   * @throws UnsupportedError for another mask type than full; InvalidRangeError, ShapeError, ArgumentError for bad ranges
   */
  get_xattn_args(options: XattnOptions): AttnArg {
    return makeXattnArg(this.dispatch_meta_q, this.group.rank(), options)
  }

  private requireLocal(x: Tensor): void {
    assertTensor('x', x)
    const rows = this.dispatch_meta_q.shard_seqlen
    if (x.ndim > 0 && x.shape[0] === rows) return
    throw new ShapeError({ argument: 'x', expected: `${rows} rows, the tokens of this rank`, actual: x })
  }

  private checkRoll(x: Tensor, shift: number, dim: number): void {
    this.requireLocal(x)
    requireInteger('shift', shift, Number.MIN_SAFE_INTEGER)
    requireInteger('dim', dim, -x.ndim)
    if (dim === 0 || dim === -x.ndim) return
    throw new UnsupportedError({
      argument: 'dim',
      expected: '0, the dimension of the tokens',
      actual: dim,
    })
  }

  private solve(): RankPlan {
    const { key } = this
    const heads = key.heads ?? { num_heads_q: 1, num_heads_kv: 1, head_dim: 1 }
    const solver = new DistAttnSolver({
      ...heads,
      overlap_config: key.dist_attn_config.overlap_config,
      deterministic: key.deterministic,
    })
    return solver.solve(this.problem()).solveRank(this.group.rank())
  }

  private problem(): DistAttnProblem {
    const { dispatch_meta_q, dispatch_meta_k } = this
    const { q_ranges, k_ranges, attn_mask_type } = this.key
    return { q_ranges, k_ranges, attn_mask_type, dispatch_meta_q, dispatch_meta_k }
  }
}
