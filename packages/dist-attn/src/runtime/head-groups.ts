import type { DistAttnProblem, ShardingOptions } from '@magi-attention/dispatch'
import { cat, type Tensor, tidy } from '@magi-attention/tensor'
import type { AttnHeads, DistAttnRuntimeKey } from './runtime-key.js'

/** The heads of one group: a kv head with its query heads. */
export function headsOfGroup({ num_heads_q, num_heads_kv, head_dim }: AttnHeads): AttnHeads {
  return { num_heads_q: num_heads_q / num_heads_kv, num_heads_kv: 1, head_dim }
}

/**
 * The same attention, where the sequences of `numGroups` head groups follow each other as one: group g of token i is
 * token `g * total_seqlen + i`, on the rank of token i. Solvers then see heads as tokens, and may tell them apart.
 */
export function flattenProblem(
  { q_ranges, k_ranges, attn_mask_type }: DistAttnRuntimeKey,
  sharding: ShardingOptions,
  numGroups: number,
): DistAttnProblem {
  const groups = Array.from({ length: numGroups }, (_, group) => group)
  const repeat = (ranges: typeof q_ranges) =>
    groups.flatMap(group => [...ranges].map(range => range.offset(group * sharding.total_seqlen)))
  return {
    q_ranges: repeat(q_ranges),
    k_ranges: repeat(k_ranges),
    attn_mask_type: groups.flatMap(() => attn_mask_type),
    dispatch_meta_q: flattenSharding(sharding, groups),
  }
}

function flattenSharding(
  { total_seqlen, chunk_size, partitions }: ShardingOptions,
  groups: readonly number[],
): ShardingOptions {
  // A short last chunk would shift those of the next group: smaller chunks end where sequences do.
  const small = greatestCommonDivisor(total_seqlen, chunk_size)
  const smallChunks = (chunk: number): number[] => {
    const first = (chunk * chunk_size) / small
    const end = Math.min((chunk + 1) * chunk_size, total_seqlen) / small
    return Array.from({ length: end - first }, (_, i) => first + i)
  }
  const perGroup = total_seqlen / small
  return {
    total_seqlen: total_seqlen * groups.length,
    chunk_size: small,
    partitions: partitions.map(chunks => {
      const ofGroup = chunks.flatMap(smallChunks)
      return groups.flatMap(group => ofGroup.map(chunk => group * perGroup + chunk))
    }),
  }
}

/** `[tokens, heads, …]` as `[groups * tokens, heads / groups, …]`, group by group. */
export function flattenHeads(x: Tensor, numGroups: number): Tensor {
  const heads = x.shape[1]! / numGroups
  return tidy(() => cat(Array.from({ length: numGroups }, (_, group) => x.narrow(1, group * heads, heads))))
}

/** The inverse of `flattenHeads`. */
export function unflattenHeads(x: Tensor, numGroups: number): Tensor {
  const tokens = x.shape[0]! / numGroups
  return tidy(() =>
    cat(
      Array.from({ length: numGroups }, (_, group) => x.narrow(0, group * tokens, tokens)),
      1,
    ),
  )
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
