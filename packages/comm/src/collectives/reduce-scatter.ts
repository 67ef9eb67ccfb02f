import { ShapeError } from '@magi-attention/common'
import { keep, type Tensor } from '@magi-attention/tensor'
import { newEmpty } from '@magi-attention/tensor/internal'
import { ExchangePlan } from '../backend/exchange-plan.js'
import { ReducePlan } from '../backend/reduce-plan.js'
import {
  assertRows,
  assertSameRows,
  assertSizes,
  assertSplit,
  byteLength,
  describeTensor,
  offsetsOf,
  rowAddress,
  rowBytes,
} from '../check.js'
import type { ProcessGroup } from '../process-group.js'
import type { Work } from '../work.js'
import { type CollectiveOptions, parseOptions } from './options.js'
import { parseReduceOp, type ReduceOp } from './reduce-operation.js'

/**
 * Combines the tensors of all ranks element by element, and leaves each rank with its part of the rows.
 *
 * @param output `[rows, ...]`; it may be this rank's part of `input`
 * @param input `[size * rows, ...]`, of any dtype and of one shape on all ranks
 * @param options `op`: sum, avg or max. Default: sum
 * @throws ArgumentError, ShapeError, DTypeError, CommTimeoutError, PeerLostError, CommError
 */
export function reduce_scatter(
  output: Tensor,
  input: Tensor,
  options: CollectiveOptions & { readonly op?: ReduceOp | undefined } = {},
): Work {
  const { group, async_op } = parseOptions('reduce_scatter', options, ['op'])
  assertRows('output', output)
  assertSameRows('input', input, 'output', output)
  const rows = output.shape[0]!
  if (input.shape[0] !== rows * group.size()) {
    throw new ShapeError({
      argument: 'input',
      expected: `${rows * group.size()} rows: those of output for each of ${group.size()} ranks`,
      actual: input,
    })
  }
  const op = parseReduceOp(options.op, input)
  const call = `reduce_scatter(${op}, ${describeTensor(input.dtype, input.shape)})`
  return reduceParts(group, call, output, input, new Array<number>(group.size()).fill(rows), op, async_op)
}

/**
 * Combines the tensors of all ranks element by element, and leaves each rank with its part, of its own number of rows.
 *
 * @param output `[split_sizes[rank], ...]`; it may be this rank's part of `input`
 * @param input `[sum of split_sizes, ...]`, of any dtype and of one shape on all ranks
 * @param options `split_sizes`: the rows of every rank, the same on all ranks; `op`: sum, avg or max. Default: sum
 * @throws ArgumentError, ShapeError, DTypeError, CommTimeoutError, PeerLostError, CommError
 */
export function reduce_scatter_v(
  output: Tensor,
  input: Tensor,
  options: CollectiveOptions & {
    readonly split_sizes: readonly number[]
    readonly op?: ReduceOp | undefined
  },
): Work {
  const { group, async_op } = parseOptions('reduce_scatter_v', options, ['split_sizes', 'op'])
  assertRows('output', output)
  assertSameRows('input', input, 'output', output)
  const splits = assertSizes('split_sizes', options.split_sizes, group.size())
  assertSplit('split_sizes', splits, 'input', input)
  assertSplit('split_sizes[rank]', [splits[group.rank()]!], 'output', output)
  const op = parseReduceOp(options.op, input)
  const call = `reduce_scatter_v(${op}, ${describeTensor(input.dtype, input.shape)})`
  return reduceParts(group, call, output, input, splits, op, async_op)
}

function reduceParts(
  group: ProcessGroup,
  call: string,
  output: Tensor,
  input: Tensor,
  splits: readonly number[],
  op: ReduceOp,
  async_op: boolean,
): Work {
  const rows = output.shape[0]!
  const bytes = byteLength(output)
  const offsets = offsetsOf(splits)
  const parts = keep(newEmpty([group.size() * rows, ...output.shape.slice(1)], output.dtype))
  const plan = new ExchangePlan()
  group.ranks.forEach((_, member) => {
    plan.send(rowAddress(input, offsets[member]!), splits[member]! * rowBytes(input), [member])
    plan.receive(member, rowAddress(parts, member * rows), bytes)
  })
  const pieces = group.ranks.map((_, member) => ({ address: rowAddress(parts, member * rows) }))
  const reduce = new ReducePlan({
    operator: op === 'max' ? 'max' : 'sum',
    out: output,
    pieceDType: input.dtype,
    accumulate: false,
  }).slot(0, rows, op === 'avg' ? group.size() : 1, pieces)
  return group._run({
    call,
    steps: [plan, reduce],
    borrowed: [output, input],
    temporary: [parts],
    written: [output],
    async_op,
  })
}
