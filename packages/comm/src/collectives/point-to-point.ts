import { ArgumentError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import { ExchangePlan } from '../backend/exchange-plan.js'
import { byteLength, describeTensor } from '../check.js'
import type { ProcessGroup } from '../process-group.js'
import type { Work } from '../work.js'
import { findMember } from '../world.js'
import { type CollectiveOptions, parseOptions } from './options.js'

/**
 * Sends a tensor to one rank, which calls `recv` with one of the same shape and dtype. Messages between two ranks arrive
 * in the order in which they were sent. Waits until the other side has come: two ranks that both send first need
 * `async_op`.
 *
 * @param options `dst`: a rank of the job
 * @throws ArgumentError, IndexError, CommTimeoutError, PeerLostError, CommError
 */
export function send(tensor: Tensor, options: CollectiveOptions & { readonly dst: number }): Work {
  const { group, async_op } = parseOptions('send', options, ['dst'])
  assertTensor('tensor', tensor, { device: 'cpu' })
  const pair = [group.rank(), findOther('dst', group, options.dst)] as const
  return group._run({
    call: describeMessage(group, pair, tensor),
    steps: [new ExchangePlan().send(tensor.data_ptr(), byteLength(tensor), [1])],
    borrowed: [tensor],
    written: [],
    async_op,
    pair,
  })
}

/**
 * Receives what one rank sends with `send`.
 *
 * @param tensor filled
 * @param options `src`: a rank of the job
 * @throws ArgumentError, IndexError, CommTimeoutError, PeerLostError, CommError
 */
export function recv(tensor: Tensor, options: CollectiveOptions & { readonly src: number }): Work {
  const { group, async_op } = parseOptions('recv', options, ['src'])
  assertTensor('tensor', tensor, { device: 'cpu' })
  const pair = [findOther('src', group, options.src), group.rank()] as const
  return group._run({
    call: describeMessage(group, pair, tensor),
    steps: [new ExchangePlan().receive(0, tensor.data_ptr(), byteLength(tensor))],
    borrowed: [tensor],
    written: [tensor],
    async_op,
    pair,
  })
}

function findOther(argument: string, group: ProcessGroup, rank: number): number {
  const member = findMember(argument, group, rank)
  if (member !== group.rank()) return member
  throw new ArgumentError({ argument, expected: 'another rank than this one', actual: rank })
}

function describeMessage(
  { ranks }: ProcessGroup,
  [from, to]: readonly [number, number],
  tensor: Tensor,
): string {
  return `message(${ranks[from]} to ${ranks[to]}, ${describeTensor(tensor.dtype, tensor.shape)})`
}
