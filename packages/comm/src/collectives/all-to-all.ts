import type { Tensor } from '@magi-attention/tensor'
import { ExchangePlan } from '../backend/exchange-plan.js'
import {
  assertRows,
  assertSameRows,
  assertSizes,
  assertSplit,
  describeTensor,
  offsetsOf,
  rowAddress,
  rowBytes,
} from '../check.js'
import type { Work } from '../work.js'
import { type CollectiveOptions, parseOptions } from './options.js'

/**
 * Sends rows from every rank to every rank: the i-th part of `input` to rank i, whose own rank's part of `output` it
 * fills.
 *
 * @param output `[sum of output_split_sizes, ...]`, of any dtype, apart from `input`
 * @param input `[sum of input_split_sizes, ...]`
 * @param options the rows for, and from, every rank of the group
 * @throws ArgumentError, ShapeError, DTypeError, CommTimeoutError, PeerLostError, CommError
 */
export function all_to_all_v(
  output: Tensor,
  input: Tensor,
  options: CollectiveOptions & {
    readonly output_split_sizes: readonly number[]
    readonly input_split_sizes: readonly number[]
  },
): Work {
  const { group, async_op } = parseOptions('all_to_all_v', options, [
    'output_split_sizes',
    'input_split_sizes',
  ])
  assertRows('input', input)
  assertSameRows('output', output, 'input', input)
  const received = assertSizes('output_split_sizes', options.output_split_sizes, group.size())
  const sent = assertSizes('input_split_sizes', options.input_split_sizes, group.size())
  assertSplit('output_split_sizes', received, 'output', output)
  assertSplit('input_split_sizes', sent, 'input', input)
  const from = offsetsOf(sent)
  const to = offsetsOf(received)
  const bytes = rowBytes(input)
  const plan = new ExchangePlan()
  group.ranks.forEach((_, member) => {
    plan.send(rowAddress(input, from[member]!), sent[member]! * bytes, [member])
    plan.receive(member, rowAddress(output, to[member]!), received[member]! * bytes)
  })
  return group._run({
    call: `all_to_all_v(${describeTensor(input.dtype, input.shape, '*')})`,
    steps: [plan],
    borrowed: [output, input],
    written: [output],
    async_op,
  })
}
