import { ArgumentError } from '@magi-attention/common'
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
import type { Work } from '../work.js'
import { findMember } from '../world.js'
import { type CollectiveOptions, parseOptions } from './options.js'

/**
 * Hands the rows of one rank's tensor out to all ranks.
 *
 * @param output `[split_sizes[rank], ...]`, of any dtype
 * @param input `[sum of split_sizes, ...]` on rank `src`, null on the others
 * @param options `split_sizes`: the rows of every rank, the same on all ranks; `src`: a rank of the job. Default: 0
 * @throws ArgumentError, ShapeError, DTypeError, IndexError, CommTimeoutError, PeerLostError, CommError
 */
export function scatter_v(
  output: Tensor,
  input: Tensor | null,
  options: CollectiveOptions & {
    readonly split_sizes: readonly number[]
    readonly src?: number | undefined
  },
): Work {
  const { group, async_op } = parseOptions('scatter_v', options, ['split_sizes', 'src'])
  assertRows('output', output)
  const splits = assertSizes('split_sizes', options.split_sizes, group.size())
  assertSplit('split_sizes[rank]', [splits[group.rank()]!], 'output', output)
  const src = findMember('src', group, options.src ?? 0)
  const isSource = src === group.rank()
  if (!isSource && input !== null) {
    throw new ArgumentError({ argument: 'input', expected: `null on ranks other than src`, actual: input })
  }
  const plan = new ExchangePlan().receive(src, output.data_ptr(), byteLength(output))
  if (isSource) {
    const source = assertSameRows('input', input, 'output', output)
    assertSplit('split_sizes', splits, 'input', source)
    const offsets = offsetsOf(splits)
    splits.forEach((rows, member) => {
      plan.send(rowAddress(source, offsets[member]!), rows * rowBytes(source), [member])
    })
  }
  const form = describeTensor(output.dtype, output.shape, '*')
  return group._run({
    call: `scatter_v(from ${group.ranks[src]}, ${form})`,
    steps: [plan],
    borrowed: input ? [output, input] : [output],
    written: [output],
    async_op,
  })
}
