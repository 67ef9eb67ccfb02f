import { all_gather_v, type ProcessGroup, reduce_scatter_v } from '@magi-attention/comm'
import type { Tensor } from '@magi-attention/tensor'
import { newEmpty } from '@magi-attention/tensor/internal'
import type { TokenLayout } from './token-layout.js'

/** Where a sequence lies, and who shares it. */
export interface ShardedSequence {
  readonly layout: TokenLayout
  readonly group: ProcessGroup
}

/** The whole sequence on every rank, from the shards. */
export function gatherShards(local: Tensor, { layout, group }: ShardedSequence): Tensor {
  const { total_seqlen, seqlens } = layout
  using gathered = newEmpty([total_seqlen, ...local.shape.slice(1)], local.dtype, local.device)
  all_gather_v(gathered, local, { split_sizes: seqlens, group })
  return layout.fromShards(gathered)
}

/** Each rank's shard of the sum over the ranks of a whole sequence. */
export function sumIntoShards(whole: Tensor, { layout, group }: ShardedSequence): Tensor {
  using inShards = layout.toShards(whole)
  const shard = newEmpty([layout.seqlens[group.rank()]!, ...whole.shape.slice(1)], whole.dtype, whole.device)
  reduce_scatter_v(shard, inShards, { split_sizes: layout.seqlens, op: 'sum', group })
  return shard
}
