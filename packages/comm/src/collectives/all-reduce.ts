import { keep, type Tensor } from '@magi-attention/tensor'
import { assertTensor, dtypeSize, newEmpty } from '@magi-attention/tensor/internal'
import { ExchangePlan } from '../backend/exchange-plan.js'
import { ReducePlan } from '../backend/reduce-plan.js'
import { byteLength, describeTensor } from '../check.js'
import type { Work } from '../work.js'
import { type CollectiveOptions, parseOptions } from './options.js'
import { parseReduceOp, type ReduceOp } from './reduce-operation.js'

/**
 * Combines the tensors of all ranks element by element, in place, into the same values on every rank, bit by bit.
 *
 * @param tensor any dtype, of one shape on all ranks
 * @param options `op`: sum, avg or max. Default: sum
 * @throws ArgumentError, DTypeError (avg of integers), CommTimeoutError, PeerLostError, CommError
 */
export function all_reduce(
  tensor: Tensor,
  options: CollectiveOptions & { readonly op?: ReduceOp | undefined } = {},
): Work {
  const { group, async_op } = parseOptions('all_reduce', options, ['op'])
  assertTensor('tensor', tensor, { device: 'cpu' })
  const op = parseReduceOp(options.op, tensor)
  const me = group.rank()
  const size = group.size()
  const itemsize = dtypeSize(tensor.dtype)
  const members = group.ranks.map((_, member) => member)
  // Each member reduces one share and hands it to the others.
  const bounds = [...members, size].map(member => Math.floor((tensor.numel() * member) / size))
  const shareOf = (member: number) => ({
    address: tensor.data_ptr() + BigInt(bounds[member]! * itemsize),
    count: bounds[member + 1]! - bounds[member]!,
  })
  const own = shareOf(me)
  const parts = keep(newEmpty([size, own.count], tensor.dtype))
  const part = (member: number) => parts.data_ptr() + BigInt(member * own.count * itemsize)

  const scatter = new ExchangePlan()
  const gather = new ExchangePlan().send(
    own.address,
    own.count * itemsize,
    members.filter(member => member !== me),
  )
  for (const member of members) {
    const { address, count } = shareOf(member)
    scatter.send(address, count * itemsize, [member])
    scatter.receive(member, part(member), own.count * itemsize)
    if (member !== me) gather.receive(member, address, count * itemsize)
  }
  const reduce = new ReducePlan({
    operator: op === 'max' ? 'max' : 'sum',
    out: tensor,
    pieceDType: tensor.dtype,
    accumulate: false,
    rowElements: 1,
  }).slot(
    bounds[me]!,
    own.count,
    op === 'avg' ? size : 1,
    members.map(member => ({ address: part(member) })),
  )
  return group._run({
    call: `all_reduce(${op}, ${describeTensor(tensor.dtype, tensor.shape)})`,
    steps: byteLength(tensor) === 0 ? [scatter] : [scatter, reduce, gather],
    borrowed: [tensor],
    temporary: [parts],
    written: [tensor],
    async_op,
  })
}
