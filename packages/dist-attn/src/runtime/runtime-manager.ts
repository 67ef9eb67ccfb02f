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
import { checkCall, checkFlattened, type LocalTensors, parseScores } from '../attention/check-call.js'
import { distAttnFunc } from '../attention/dist-attn-func.js'
import { type KernelCall, planKernelCalls } from '../attention/kernel-calls.js'
import { qoAttnFunc } from '../attention/qo-attn-func.js'
import type { Scores } from '../attention/stage.js'
import { requireFlag, requireInteger } from '../check.js'
import { type RuntimeSwitches, readSwitches } from '../env.js'
import { dispatchRows, undispatchRows } from '../movement/dispatch.js'
import { rollByGather, rollByPieces, rollRows } from '../movement/roll.js'
import type { ShardedSequence } from '../movement/shard-collectives.js'
import { TokenLayout } from '../movement/token-layout.js'
import { flattenHeads, flattenProblem, headsOfGroup, unflattenHeads } from './head-groups.js'
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
  /** By sizes of the tensors and policy. */
  readonly #kernelCalls = new Map<string, readonly KernelCall[]>()

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
   * What this rank receives, sends and computes while queries stay. Solved at the first use. Of a key with
   * flatten_head_groups, tokens here are those of one kv head.
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
   * What this rank receives, sends and computes while queries travel, too. Solved at the first use. Of a key with
   * flatten_head_groups, tokens here are those of one kv head.
   *
   * @param heads decide what a query weighs against a key; of a key with flatten_head_groups, those for one kv head
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

  /** Rolls the padded sequence, whose tokens lie along `dim`; they go straight from rank to rank. */
  roll(x: Tensor, shift: number, dim = 0): Tensor {
    const options = this.checkRoll(x, shift, dim)
    return rollRows(x, this.#sequence, { ...options, transport: rollByPieces })
  }

  /** The same result as `roll`, over the whole sequence on every rank. */
  roll_simple(x: Tensor, shift: number, dim = 0): Tensor {
    const options = this.checkRoll(x, shift, dim)
    return rollRows(x, this.#sequence, { ...options, transport: rollByGather })
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
    const { heads, qo_comm, flatten_head_groups } = this.key
    checkCall(tensors, scores, { heads, rows: this.dispatch_meta_q.shard_seqlen, qo_comm })
    if (!flatten_head_groups) return this.run(tensors, scores, returnMaxLogits)
    checkFlattened(tensors, returnMaxLogits)
    const { q, k, v } = tensors
    const numGroups = k.shape[1]!
    using flatQ = flattenHeads(q, numGroups)
    using flatK = flattenHeads(k, numGroups)
    using flatV = flattenHeads(v, numGroups)
    const [out, { lse }] = this.run({ q: flatQ, k: flatK, v: flatV, sink: null }, scores, false)
    using flatOut = out
    using flatLse = lse
    const meta = { lse: unflattenHeads(flatLse, numGroups), max_logits: null }
    return [unflattenHeads(flatOut, numGroups), meta]
  }

  private run(
    { q, k, v, sink }: LocalTensors,
    scores: Scores,
    returnMaxLogits: boolean,
  ): [out: Tensor, meta: AttnForwardMeta] {
    const { cp_mesh: mesh, qo_comm } = this.key
    const { group } = this
    const switches = readSwitches()
    const options = { scores, returnMaxLogits, switches }
    const [, num_heads_q, head_dim] = q.shape as [number, number, number]
    const found = { num_heads_q, num_heads_kv: k.shape[1]!, head_dim }
    if (!qo_comm) {
      const calls = this.kernelCalls(found, dtypeSize(q.dtype), switches)
      return distAttnFunc([q, k, v, sink], { ...options, part: { plan: this.plan, calls, group, mesh } })
    }
    const plan = this.qo_plan(found, dtypeSize(q.dtype))
    return qoAttnFunc([q, k, v, sink], { ...options, part: { plan, group } })
  }

  private kernelCalls(
    heads: AttnHeads,
    elementBytes: number,
    { mergeStages, backwardHideTailReduce, cudaDeviceMaxConnections }: RuntimeSwitches,
  ): readonly KernelCall[] {
    const { calc_meta } = this.plan
    // To hide the last reduction behind the own keys, these need a call of their own. And where stages are asked for
    // between calls, all ranks must have the same ones.
    const isMerged = mergeStages === 'auto' && !backwardHideTailReduce && cudaDeviceMaxConnections !== 1
    const policy = calc_meta.no_overlap ? 'all' : isMerged ? 'auto' : 'never'
    const name = [heads.num_heads_q, heads.num_heads_kv, heads.head_dim, elementBytes, policy].join('/')
    const known = this.#kernelCalls.get(name)
    if (known) return known
    const calls = planKernelCalls(calc_meta, { ...heads, elementBytes }, policy)
    this.#kernelCalls.set(name, calls)
    return calls
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

  private checkRoll(x: Tensor, shift: number, dim: number): { shift: number; dim: number } {
    assertTensor('x', x)
    requireInteger('shift', shift, Number.MIN_SAFE_INTEGER)
    if (!Number.isSafeInteger(dim) || dim < -x.ndim || dim >= Math.max(1, x.ndim)) {
      const expected = `an integer in [${-x.ndim}, ${x.ndim})`
      throw new ArgumentError({ argument: 'dim', expected, actual: dim })
    }
    const at = dim < 0 ? dim + x.ndim : dim + 0
    const tokens = this.dispatch_meta_q.shard_seqlen
    if (x.ndim > 0 && x.shape[at] === tokens) return { shift, dim: at }
    throw new ShapeError({
      argument: 'x',
      expected: `${tokens} entries, the tokens of this rank, along dimension ${at}`,
      actual: x,
    })
  }

  private solve(): RankPlan {
    const { key } = this
    const heads = key.heads ?? { num_heads_q: 1, num_heads_kv: 1, head_dim: 1 }
    const solver = new DistAttnSolver({
      ...(key.flatten_head_groups ? headsOfGroup(heads) : heads),
      overlap_config: key.dist_attn_config.overlap_config,
      deterministic: key.deterministic,
    })
    return solver.solve(this.problem()).solveRank(this.group.rank())
  }

  private problem(): DistAttnProblem {
    const { dispatch_meta_q, dispatch_meta_k } = this
    const { q_ranges, k_ranges, attn_mask_type, flatten_head_groups, num_heads_kv } = this.key
    if (flatten_head_groups) return flattenProblem(this.key, dispatch_meta_q, num_heads_kv!)
    return { q_ranges, k_ranges, attn_mask_type, dispatch_meta_q, dispatch_meta_k }
  }
}
