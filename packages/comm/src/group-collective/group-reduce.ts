import { ArgumentError, DTypeError, UnsupportedError } from '@magi-attention/common'
import { type DType, keep, no_grad, type Tensor } from '@magi-attention/tensor'
import { assertDType, isFloatDType, newEmpty } from '@magi-attention/tensor/internal'
import { ExchangePlan } from '../backend/exchange-plan.js'
import { ReducePlan } from '../backend/reduce-plan.js'
import {
  assertChoice,
  assertOptions,
  describeTensor,
  offsetsOf,
  parseFlag,
  rowAddress,
  rowBytes,
} from '../check.js'
import type { DeviceMesh } from '../device-mesh.js'
import type { ProcessGroup } from '../process-group.js'
import { type Work, WorkWithPostProcessFn } from '../work.js'
import { type GroupPlan, type GroupPlanOptions, parseReducePlan } from './group-plan.js'
import { assertHeads, pairLse, pairTensors, type TensorPair, type Tensors } from './group-tensors.js'
import { hierarchicalReduce } from './hierarchical-reduce.js'
import { resolveGroupOrMesh } from './resolve-mesh.js'
import { checkPlans, mustCheckPlans } from './sanity-check.js'

/** How pieces combine with what the output holds. */
export type GroupReduceOp = 'sum' | 'avg' | 'lse'

export interface GroupReduceOptions<T extends Tensors> extends GroupPlanOptions {
  /** `[sum of input_split_sizes, ...]`; several tensors may travel by one plan, except for `lse`. */
  readonly input: T
  /** `[sum of output_split_sizes, ...]`, like `input` otherwise. What it holds counts as the first piece. */
  readonly output: T
  /** For each piece of the input, the rank of the group that gets it. */
  readonly dst_index: readonly number[]
  /** For each slot of the output, the ranks of the group whose next pieces it takes; ascending, each once. */
  readonly src_indices: readonly (readonly number[])[]
  /** Default: all ranks of the job. */
  readonly group?: ProcessGroup | null | undefined
  /** Of two dimensions: what crosses between its rows is summed up before. Instead of `group`; not for `lse`. */
  readonly mesh?: DeviceMesh | null | undefined
  /** Default: false. */
  readonly async_op?: boolean | undefined
  /**
   * `sum`: the old value and all pieces. `avg`: that divided by one more than the number of pieces. `lse`: the merge of
   * partial attention results, by online softmax. Default: sum.
   */
  readonly reduce_op?: GroupReduceOp | undefined
  /** Only true is possible: the output's old values count. */
  readonly acc_reduce?: boolean | undefined
  /** Float dtype in which pieces travel. Default: that of `input`. */
  readonly comm_dtype?: DType | null | undefined
  /** For `lse`: float32 `[sum of input_split_sizes, heads]`, the natural lse of `input` `[..., heads, head_dim]`. */
  readonly input_lse?: Tensor | null | undefined
  /** For `lse`: float32 `[sum of output_split_sizes, heads]`, updated as `output`. */
  readonly output_lse?: Tensor | null | undefined
  /** Compares the plans of all ranks before anything moves. Default: MAGI_ATTENTION_SANITY_CHECK. */
  readonly sanity_check?: boolean | undefined
}

const optionNames = [
  'input',
  'output',
  'input_split_sizes',
  'output_split_sizes',
  'dst_index',
  'src_indices',
  'group',
  'mesh',
  'async_op',
  'reduce_op',
  'acc_reduce',
  'comm_dtype',
  'input_lse',
  'output_lse',
  'sanity_check',
] as const satisfies readonly (keyof GroupReduceOptions<Tensors>)[]

/**
 * The transpose of `group_cast`: each piece of the input goes to one rank, and each slot of the output takes the next
 * piece of every rank in `src_indices[j]`, in that order. Computed in float32 or wider and rounded once, in a fixed
 * order: the same input gives the same bits.
 *
 * For `lse`: `L = log(e^La + e^Lb)`, `o = e^(La - L) oa + e^(Lb - L) ob`, one piece after the other; a part whose lse is
 * -inf counts as absent, whatever its vector holds (FlashAttention's online softmax).
 *
 * @returns a work whose `wait_post_process` gives `output`, or `[output, output_lse]` for `lse`
 * @throws ArgumentError, IndexError, ShapeError, DTypeError, UnsupportedError, CommError if the ranks' plans do not fit each
 *   other (on every rank alike), CommTimeoutError, PeerLostError
 */
export function group_reduce<T extends Tensors>(
  options: GroupReduceOptions<T> & { readonly reduce_op?: 'sum' | 'avg' | undefined },
): WorkWithPostProcessFn<T>
export function group_reduce<T extends Tensors>(
  options: GroupReduceOptions<T>,
): WorkWithPostProcessFn<T | [output: T, output_lse: Tensor]>
export function group_reduce<T extends Tensors>(
  options: GroupReduceOptions<T>,
): WorkWithPostProcessFn<unknown> {
  assertOptions('options', options, optionNames)
  const { group, mesh } = resolveGroupOrMesh('group_reduce', options)
  const async_op = parseFlag('async_op', options.async_op, false)
  const reduceOp = assertChoice('reduce_op', options.reduce_op ?? 'sum', ['sum', 'avg', 'lse'])
  if (!parseFlag('acc_reduce', options.acc_reduce, true)) {
    throw new UnsupportedError({
      argument: 'acc_reduce',
      expected: 'true',
      actual: false,
      hint: 'Fill output with zeros instead.',
    })
  }
  const plan = parseReducePlan(options, group.size())
  const pairs = pairTensors(options.input, options.output, plan.inputSplits, plan.outputSplits)
  const lse = parseLse(options, reduceOp, pairs)
  const commDType = parseCommDType(options.comm_dtype, reduceOp, pairs)
  if (mesh && lse) {
    throw new UnsupportedError({
      argument: 'reduce_op',
      expected: 'sum or avg for a mesh of two dimensions',
      actual: reduceOp,
    })
  }
  const call = describeReduce(reduceOp, pairs, commDType)
  if (mustCheckPlans(options.sanity_check)) checkPlans(group, call, plan)
  const request = { call, plan, pairs, lse, reduceOp, commDType, async_op }
  const work = mesh ? hierarchicalReduce(mesh, request) : flatReduce(group, request)
  const result = lse ? [options.output, options.output_lse] : options.output
  return new WorkWithPostProcessFn(work, () => result, async_op)
}

/** A group reduce whose arguments were checked. @internal */
export interface ReduceRequest {
  readonly call: string
  readonly plan: GroupPlan
  readonly pairs: readonly TensorPair[]
  readonly lse: TensorPair | null
  readonly reduceOp: GroupReduceOp
  /** Null: that of each input. */
  readonly commDType: DType | null
  readonly async_op: boolean
}

function parseLse(
  options: GroupReduceOptions<Tensors>,
  reduceOp: GroupReduceOp,
  pairs: readonly TensorPair[],
): TensorPair | null {
  const { input_lse: inputLse, output_lse: outputLse } = options
  if (reduceOp !== 'lse') {
    const lse = inputLse ?? outputLse ?? null
    if (lse === null) return null
    throw new ArgumentError({
      argument: inputLse ? 'input_lse' : 'output_lse',
      expected: "reduce_op 'lse', to be used",
      actual: lse,
    })
  }
  const [pair, ...others] = pairs
  if (others.length > 0) {
    throw new ArgumentError({
      argument: 'input',
      expected: 'one tensor to merge by lse',
      actual: options.input,
    })
  }
  if (!isFloatDType(pair!.input.dtype)) {
    throw new DTypeError({
      argument: 'input',
      expected: 'a float dtype to merge by lse',
      actual: pair!.input,
    })
  }
  const lse = pairLse(inputLse, outputLse, pair!)
  assertHeads(lse.output, pair!.output)
  return lse
}

function parseCommDType(value: unknown, reduceOp: GroupReduceOp, pairs: readonly TensorPair[]): DType | null {
  const isFloat = pairs.every(({ input }) => isFloatDType(input.dtype))
  if (reduceOp === 'avg' && !isFloat) {
    throw new DTypeError({ argument: 'input', expected: 'float dtypes for avg', actual: pairs[0]!.input })
  }
  if (value === undefined || value === null) return null
  const dtype = assertDType('comm_dtype', value)
  if (isFloat && isFloatDType(dtype)) return dtype
  throw new DTypeError({
    argument: 'comm_dtype',
    expected: 'a float dtype, for float tensors',
    actual: value,
  })
}

function describeReduce(
  reduceOp: GroupReduceOp,
  pairs: readonly TensorPair[],
  commDType: DType | null,
): string {
  const forms = pairs.map(({ input }) => describeTensor(input.dtype, input.shape, '*'))
  return `group_reduce(${reduceOp}, ${forms.join(', ')}${commDType ? ` as ${commDType}` : ''})`
}

/** The tensor as it travels: in `dtype`, a copy if that is another. @internal */
export function inWireDType(tensor: Tensor, dtype: DType | null): { wire: Tensor; copies: Tensor[] } {
  if (dtype === null || dtype === tensor.dtype) return { wire: tensor, copies: [] }
  const wire = keep(no_grad(() => tensor.to(dtype)))
  return { wire, copies: [wire] }
}

function flatReduce(group: ProcessGroup, request: ReduceRequest): Work {
  const { call, plan, pairs, lse, reduceOp, commDType, async_op } = request
  const exchange = new ExchangePlan()
  const temporary: Tensor[] = []
  const channels = pairs.map(({ input, output }) => {
    const { wire, copies } = inWireDType(input, commDType)
    temporary.push(...copies)
    return { wire, output }
  })
  if (lse) channels.push({ wire: lse.input, output: lse.output })

  // Every slot has room for each of its pieces, one below the other.
  const firstPiece = offsetsOf(plan.outputSplits.map((rows, slot) => rows * plan.sources[slot]!.length))
  const received = channels.map(({ wire }) => {
    const parts = keep(newEmpty([firstPiece.at(-1)!, ...wire.shape.slice(1)], wire.dtype))
    temporary.push(parts)
    return parts
  })
  const from = offsetsOf(plan.inputSplits)
  plan.destinations.forEach((destinations, piece) => {
    if (destinations.length === 0) return
    for (const { wire } of channels) {
      exchange.send(rowAddress(wire, from[piece]!), plan.inputSplits[piece]! * rowBytes(wire), destinations)
    }
  })
  const pieceRow = (slot: number, index: number) => firstPiece[slot]! + index * plan.outputSplits[slot]!
  plan.sources.forEach((sources, slot) => {
    sources.forEach((source, index) => {
      for (const parts of received) {
        const bytes = plan.outputSplits[slot]! * rowBytes(parts)
        exchange.receive(source, rowAddress(parts, pieceRow(slot, index)), bytes)
      }
    })
  })

  const to = offsetsOf(plan.outputSplits)
  const reduces = pairs.map(({ output }, i) => {
    const parts = received[i]!
    const reduce = new ReducePlan({
      operator: reduceOp === 'lse' ? 'lse' : 'sum',
      out: output,
      pieceDType: parts.dtype,
      accumulate: true,
      outLse: lse?.output,
    })
    plan.sources.forEach((sources, slot) => {
      if (sources.length === 0) return
      const pieces = sources.map((_, index) => ({
        address: rowAddress(parts, pieceRow(slot, index)),
        lseAddress: lse ? rowAddress(received.at(-1)!, pieceRow(slot, index)) : undefined,
      }))
      const divisor = reduceOp === 'avg' ? 1 + sources.length : 1
      reduce.slot(to[slot]!, plan.outputSplits[slot]!, divisor, pieces)
    })
    return reduce
  })
  const outputs = pairs.map(({ output }) => output).concat(lse ? [lse.output] : [])
  return group._run({
    call,
    steps: [exchange, ...reduces],
    borrowed: [...outputs, ...pairs.map(({ input }) => input), ...(lse ? [lse.input] : [])],
    temporary,
    written: outputs,
    async_op,
  })
}
