import { ArgumentError, UnsupportedError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import { ExchangePlan } from '../backend/exchange-plan.js'
import { assertOptions, describeTensor, offsetsOf, parseFlag, rowAddress, rowBytes } from '../check.js'
import type { DeviceMesh } from '../device-mesh.js'
import type { ProcessGroup } from '../process-group.js'
import { type Work, WorkWithPostProcessFn } from '../work.js'
import { type GroupPlan, type GroupPlanOptions, parseCastPlan } from './group-plan.js'
import { pairLse, pairTensors, type TensorPair, type Tensors } from './group-tensors.js'
import { hierarchicalCast } from './hierarchical-cast.js'
import { resolveGroupOrMesh } from './resolve-mesh.js'
import { checkPlans, mustCheckPlans } from './sanity-check.js'

export interface GroupCastOptions<T extends Tensors> extends GroupPlanOptions {
  /** `[sum of input_split_sizes, ...]`, of any dtype; several tensors may travel by one plan. */
  readonly input: T
  /** `[sum of output_split_sizes, ...]`, like `input` otherwise. Filled. */
  readonly output: T
  /** For each piece of the input, the ranks of the group that get it; perhaps none, perhaps this one. */
  readonly dst_indices: readonly (readonly number[])[]
  /** For each slot of the output, the rank of the group whose next piece for this rank fills it. */
  readonly src_index: readonly number[]
  /** Default: all ranks of the job. */
  readonly group?: ProcessGroup | null | undefined
  /** Of two dimensions: what crosses between its rows does so once for each row. Instead of `group`. */
  readonly mesh?: DeviceMesh | null | undefined
  /** Default: false. */
  readonly async_op?: boolean | undefined
  /** Moves `input_lse` to `output_lse` by the same plan. Default: false. */
  readonly cast_lse?: boolean | undefined
  /** float32 `[sum of input_split_sizes, ...]`. */
  readonly input_lse?: Tensor | null | undefined
  /** float32 `[sum of output_split_sizes, ...]`. */
  readonly output_lse?: Tensor | null | undefined
  /** Compares the plans of all ranks before anything moves. Default: MAGI_ATTENTION_SANITY_CHECK. */
  readonly sanity_check?: boolean | undefined
}

const optionNames = [
  'input',
  'output',
  'input_split_sizes',
  'output_split_sizes',
  'dst_indices',
  'src_index',
  'group',
  'mesh',
  'async_op',
  'cast_lse',
  'input_lse',
  'output_lse',
  'sanity_check',
] as const satisfies readonly (keyof GroupCastOptions<Tensors>)[]

/**
 * Sends each piece of the input to exactly the ranks that need it. Piece p, of `input_split_sizes[p]` rows, goes to every
 * rank in `dst_indices[p]`; slot j of the output is filled by the next piece, in its sender's order, that rank
 * `src_index[j]` has for this one. A piece for several ranks is written once.
 *
 * @returns a work whose `wait_post_process` gives `output`, or `[output, output_lse]` with `cast_lse`
 * @throws ArgumentError, IndexError, ShapeError, DTypeError, CommError if the ranks' plans do not fit each other (on every
 *   rank alike), CommTimeoutError, PeerLostError
 */
export function group_cast<T extends Tensors>(
  options: GroupCastOptions<T> & { readonly cast_lse?: false | undefined },
): WorkWithPostProcessFn<T>
export function group_cast<T extends Tensors>(
  options: GroupCastOptions<T>,
): WorkWithPostProcessFn<T | [output: T, output_lse: Tensor]>
export function group_cast<T extends Tensors>(options: GroupCastOptions<T>): WorkWithPostProcessFn<unknown> {
  assertOptions('options', options, optionNames)
  const { group, mesh } = resolveGroupOrMesh('group_cast', options)
  const async_op = parseFlag('async_op', options.async_op, false)
  const castLse = parseFlag('cast_lse', options.cast_lse, false)
  const plan = parseCastPlan(options, group.size())
  const pairs = pairTensors(options.input, options.output, plan.inputSplits, plan.outputSplits)
  if (castLse) pairs.push(pairLse(options.input_lse, options.output_lse, pairs[0]!))
  else assertNoLse(options)
  if (mesh && castLse) {
    throw new UnsupportedError({
      argument: 'cast_lse',
      expected: 'false for a mesh of two dimensions',
      actual: true,
    })
  }
  const call = describeCast(pairs, castLse)
  if (mustCheckPlans(options.sanity_check)) checkPlans(group, call, plan)
  const work = mesh
    ? hierarchicalCast(mesh, call, plan, pairs, async_op)
    : flatCast(group, call, plan, pairs, async_op)
  const result = castLse ? [options.output, options.output_lse] : options.output
  return new WorkWithPostProcessFn(work, () => result, async_op)
}

function assertNoLse({ input_lse, output_lse }: GroupCastOptions<Tensors>): void {
  const lse = input_lse ?? output_lse
  if (lse === undefined || lse === null) return
  throw new ArgumentError({
    argument: input_lse ? 'input_lse' : 'output_lse',
    expected: 'cast_lse: true, to be cast',
    actual: lse,
  })
}

function describeCast(pairs: readonly TensorPair[], castLse: boolean): string {
  const forms = pairs.map(({ input }) => describeTensor(input.dtype, input.shape, '*'))
  return `group_cast(${forms.join(', ')}${castLse ? ' with lse' : ''})`
}

function flatCast(
  group: ProcessGroup,
  call: string,
  plan: GroupPlan,
  pairs: readonly TensorPair[],
  async_op: boolean,
): Work {
  const exchange = new ExchangePlan()
  const from = offsetsOf(plan.inputSplits)
  const to = offsetsOf(plan.outputSplits)
  // Piece by piece, and within a piece tensor by tensor: what has the same destinations lies together.
  plan.destinations.forEach((destinations, piece) => {
    if (destinations.length === 0) return
    for (const { input } of pairs) {
      const bytes = plan.inputSplits[piece]! * rowBytes(input)
      exchange.send(rowAddress(input, from[piece]!), bytes, destinations)
    }
  })
  plan.sources.forEach(([source], slot) => {
    if (source === undefined) return
    for (const { output } of pairs) {
      const bytes = plan.outputSplits[slot]! * rowBytes(output)
      exchange.receive(source, rowAddress(output, to[slot]!), bytes)
    }
  })
  return group._run({
    call,
    steps: [exchange],
    borrowed: pairs.flatMap(({ input, output }) => [input, output]),
    written: pairs.map(({ output }) => output),
    async_op,
  })
}
