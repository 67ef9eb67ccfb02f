import { group_cast } from '@magi-attention/comm'
import { apply_function, type CustomFunction, type Tensor } from '@magi-attention/tensor'
import { newEmpty } from '@magi-attention/tensor/internal'
import { planRoll } from './roll-plan.js'
import { gatherShards, type ShardedSequence } from './shard-collectives.js'
import { takeRows } from './token-layout.js'

type Transport = (local: Tensor, sequence: ShardedSequence, shift: number) => Tensor

interface RollOptions extends ShardedSequence {
  /** In `[0, total_seqlen)`. */
  readonly shift: number
  readonly transport: Transport
}

const rollFunction: CustomFunction<RollOptions, readonly [Tensor]> = {
  name: 'roll',
  forward: (_, [x], { transport, shift, ...sequence }) => [transport(x, sequence, shift)],
  backward(_, [grad], { transport, shift, ...sequence }) {
    return [transport(grad!, sequence, (sequence.layout.total_seqlen - shift) % sequence.layout.total_seqlen)]
  },
}

/** Each row goes straight to the rank that gets it. */
export const rollByPieces: Transport = (local, { layout, group }, shift) => {
  const { order, ...plan } = planRoll(layout.sharding, shift, group.rank())
  using arrived = newEmpty(local.shape, local.dtype, local.device)
  group_cast({ input: local, output: arrived, ...plan, group }).wait_post_process()
  return takeRows(arrived, order)
}

/** Every rank gets the whole sequence, and takes its part of it. */
export const rollByGather: Transport = (local, sequence, shift) => {
  const { layout, group } = sequence
  const total = layout.total_seqlen
  using whole = gatherShards(local, sequence)
  using rolled = takeRows(whole, [
    { start: total - shift, length: shift },
    { start: 0, length: total - shift },
  ])
  return layout.takeShard(rolled, group.rank())
}

/** Rolls the whole sequence by `shift` tokens, positive towards larger positions, and leaves each rank its rows. */
export function rollRows(
  local: Tensor,
  sequence: ShardedSequence,
  shift: number,
  transport: Transport,
): Tensor {
  const total = sequence.layout.total_seqlen
  const positive = ((shift % total) + total) % total
  if (positive === 0) return local.clone()
  return apply_function(rollFunction, [local], { ...sequence, shift: positive, transport })[0]!
}
