import { ShapeError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import { ExchangePlan } from '../backend/exchange-plan.js'
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

/**
 * Puts the tensors of all ranks below each other, on every rank.
 *
 * @param output `[size * rows, ...]`, of any dtype
 * @param input `[rows, ...]`, of one shape on all ranks; it may be its own part of `output`
 * @throws ArgumentError, ShapeError, DTypeError, CommTimeoutError, PeerLostError, CommError
 */
export function all_gather(output: Tensor, input: Tensor, options: CollectiveOptions = {}): Work {
  const { group, async_op } = parseOptions('all_gather', options)
  assertRows('input', input)
  assertSameRows('output', output, 'input', input)
  const rows = input.shape[0]!
  const call = `all_gather(${describeTensor(input.dtype, input.shape)})`
  const splits = new Array<number>(group.size()).fill(rows)
  if (output.shape[0] !== rows * group.size()) {
    throw new ShapeError({
      argument: 'output',
      expected: `${rows * group.size()} rows: those of input from each of ${group.size()} ranks`,
      actual: output,
    })
  }
  return gather(group, call, output, input, splits, async_op)
}

/**
 * Puts the tensors of all ranks below each other, on every rank, each with rows of its own number.
 *
 * @param output `[sum of split_sizes, ...]`, of any dtype
 * @param input `[split_sizes[rank], ...]`; it may be its own part of `output`
 * @param options `split_sizes`: the rows of every rank, the same on all ranks
 * @throws ArgumentError, ShapeError, DTypeError, CommTimeoutError, PeerLostError, CommError
 */
export function all_gather_v(
  output: Tensor,
  input: Tensor,
  options: CollectiveOptions & { readonly split_sizes: readonly number[] },
): Work {
  const { group, async_op } = parseOptions('all_gather_v', options, ['split_sizes'])
  assertRows('input', input)
  assertSameRows('output', output, 'input', input)
  const splits = assertSizes('split_sizes', options.split_sizes, group.size())
  assertSplit('split_sizes', splits, 'output', output)
  assertSplit('split_sizes[rank]', [splits[group.rank()]!], 'input', input)
  const call = `all_gather_v(${describeTensor(input.dtype, input.shape, '*')})`
  return gather(group, call, output, input, splits, async_op)
}

function gather(
  group: ProcessGroup,
  call: string,
  output: Tensor,
  input: Tensor,
  splits: readonly number[],
  async_op: boolean,
): Work {
  const members = group.ranks.map((_, member) => member)
  const offsets = offsetsOf(splits)
  const plan = new ExchangePlan().send(input.data_ptr(), byteLength(input), members)
  for (const member of members) {
    plan.receive(member, rowAddress(output, offsets[member]!), splits[member]! * rowBytes(output))
  }
  return group._run({ call, steps: [plan], borrowed: [output, input], written: [output], async_op })
}
