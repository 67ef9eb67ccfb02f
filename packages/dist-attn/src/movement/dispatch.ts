import { apply_function, type CustomFunction, type Tensor } from '@magi-attention/tensor'
import { gatherShards, type ShardedSequence, sumIntoShards } from './shard-collectives.js'

const dispatchFunction: CustomFunction<ShardedSequence, readonly [Tensor]> = {
  name: 'dispatch',
  forward: (_, [x], { layout, group }) => [layout.takeShard(x, group.rank())],
  // The whole sequence is the same on every rank, and so is its gradient: each rank knows its part of it.
  backward: (_, [grad], sequence) => [gatherShards(grad!, sequence)],
}

interface UndispatchOptions extends ShardedSequence {
  readonly isPartialGrad: boolean
}

const undispatchFunction: CustomFunction<UndispatchOptions, readonly [Tensor]> = {
  name: 'undispatch',
  forward: (_, [x], sequence) => [gatherShards(x, sequence)],
  backward(_, [grad], sequence) {
    const { layout, group, isPartialGrad } = sequence
    return [isPartialGrad ? sumIntoShards(grad!, sequence) : layout.takeShard(grad!, group.rank())]
  },
}

/** This rank's rows `[shard_seqlen, …]` of a sequence `[total_seqlen, …]` that every rank has. */
export function dispatchRows(x: Tensor, sequence: ShardedSequence): Tensor {
  return apply_function(dispatchFunction, [x], sequence)[0]!
}

/**
 * The whole sequence `[total_seqlen, …]` on every rank, of their rows `[shard_seqlen, …]`. With `isPartialGrad` the
 * gradients that the ranks have for it are parts of a sum; else they are the same.
 */
export function undispatchRows(x: Tensor, sequence: ShardedSequence, isPartialGrad: boolean): Tensor {
  return apply_function(undispatchFunction, [x], { ...sequence, isPartialGrad })[0]!
}
