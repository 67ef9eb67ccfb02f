import type { Tensor } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import { ExchangePlan } from '../backend/exchange-plan.js'
import { byteLength, describeTensor } from '../check.js'
import type { ProcessGroup } from '../process-group.js'
import type { Work } from '../work.js'
import { findMember } from '../world.js'
import { type CollectiveOptions, parseOptions } from './options.js'

/**
 * Waits until every rank of the group has come here.
 * @throws CommTimeoutError, PeerLostError, CommError
 */
export function barrier(options: CollectiveOptions = {}): Work {
  const { group, async_op } = parseOptions('barrier', options)
  return group._run({ call: 'barrier()', steps: [new ExchangePlan()], borrowed: [], written: [], async_op })
}

/**
 * Copies a tensor from one rank to all others of the group, in place.
 *
 * @param tensor any dtype, of one shape on all ranks
 * @param options `src`: the rank of the job that has the values. Default: 0
 * @throws ArgumentError, IndexError, CommTimeoutError, PeerLostError, CommError
 */
export function broadcast(
  tensor: Tensor,
  options: CollectiveOptions & { readonly src?: number | undefined } = {},
): Work {
  const { group, async_op } = parseOptions('broadcast', options, ['src'])
  assertTensor('tensor', tensor, { device: 'cpu' })
  const src = findMember('src', group, options.src ?? 0)
  const plan = new ExchangePlan()
  if (src === group.rank()) plan.send(tensor.data_ptr(), byteLength(tensor), othersOf(group))
  else plan.receive(src, tensor.data_ptr(), byteLength(tensor))
  return group._run({
    call: `broadcast(from ${group.ranks[src]}, ${describeTensor(tensor.dtype, tensor.shape)})`,
    steps: [plan],
    borrowed: [tensor],
    written: src === group.rank() ? [] : [tensor],
    async_op,
  })
}

function othersOf(group: ProcessGroup): number[] {
  return group.ranks.map((_, member) => member).filter(member => member !== group.rank())
}
