import { group_cast } from '@magi-attention/comm'
import { apply_function, type CustomFunction, cat, type Tensor, tidy } from '@magi-attention/tensor'
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

/** The same for a tensor whose tokens lie along `dim`. */
function alongDim(transport: Transport, dim: number): Transport {
  return (local, sequence, shift) =>
    tidy(() => {
      const outer = local.shape.slice(0, dim).reduce((product, size) => product * size, 1)
      const tokens = local.shape[dim]!
      const inner = local.numel() / (outer * tokens)
      const slices = local.view(outer * tokens, inner)
      const tokensFirst = cat(
        Array.from({ length: outer }, (_, i) => slices.narrow(0, i * tokens, tokens)),
        1,
      )
      const rolled = transport(tokensFirst, sequence, shift)
      return cat(Array.from({ length: outer }, (_, i) => rolled.narrow(1, i * inner, inner))).view(
        local.shape,
      )
    })
}

/**
 * Rolls the whole sequence by `shift` tokens, positive towards larger positions, and leaves each rank its rows.
 * @param dim the dimension of the tokens, not negative
 */
export function rollRows(
  local: Tensor,
  sequence: ShardedSequence,
  { shift, dim, transport }: { shift: number; dim: number; transport: Transport },
): Tensor {
  const total = sequence.layout.total_seqlen
  const positive = ((shift % total) + total) % total
  if (positive === 0 || local.numel() === 0) return local.clone()
  const options = { ...sequence, shift: positive }
  const isFirst = local.shape.slice(0, dim).every(size => size === 1)
  if (!isFirst) {
    return apply_function(rollFunction, [local], { ...options, transport: alongDim(transport, dim) })[0]!
  }
  using rows = local.view(local.shape.slice(dim))
  using rolled = apply_function(rollFunction, [rows], { ...options, transport })[0]!
  return rolled.view(local.shape)
}
