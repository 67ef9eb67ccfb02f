import { ArgumentError, compute_pad_size } from '@magi-attention/common'
import type { DispatchConfig } from '@magi-attention/dispatch'
import { requireInteger } from '../check.js'
import type { AttnHeads } from '../runtime/runtime-key.js'
import type { MagiAttnKeyOptions } from './key-options.js'

/** All three, or null for none. @throws ArgumentError */
export function parseHeads(options: Omit<MagiAttnKeyOptions, 'cp_group_or_mesh'>): AttnHeads | null {
  const names = ['num_heads_q', 'num_heads_kv', 'head_dim'] as const
  const given = names.filter(name => options[name] !== undefined && options[name] !== null)
  if (given.length === 0) return null
  const [num_heads_q, num_heads_kv, head_dim] = names.map(name => requireInteger(name, options[name], 1)) as [
    number,
    number,
    number,
  ]
  if (num_heads_q % num_heads_kv === 0) return { num_heads_q, num_heads_kv, head_dim }
  throw new ArgumentError({
    argument: 'num_heads_kv',
    expected: `a divisor of num_heads_q, which is ${num_heads_q}`,
    actual: num_heads_kv,
  })
}

interface ChunkOptions {
  readonly chunk_size: number | null | undefined
  readonly dispatch_config: DispatchConfig
  readonly total_seqlen: number
  readonly cp_size: number
  readonly minChunksPerRank: number
}

/** The given size of a chunk, or one that follows from the others. @throws ArgumentError */
export function chooseChunkSize(options: ChunkOptions): number {
  const { dispatch_config, total_seqlen, cp_size, minChunksPerRank } = options
  const given = options.chunk_size ?? null
  if (given !== null) requireInteger('chunk_size', given, 1)
  const configured = dispatch_config.chunk_size
  if (given !== null && configured !== null && given !== configured) {
    throw new ArgumentError({
      argument: 'chunk_size',
      expected: `${configured}, as in dispatch_config, or only one of the two`,
      actual: given,
    })
  }
  const chunk_size = given ?? configured ?? Math.ceil(total_seqlen / (minChunksPerRank * cp_size))
  const largest = Math.ceil(total_seqlen / (cp_size - 1)) - 1
  if (cp_size === 1 || chunk_size <= largest) return chunk_size
  throw new ArgumentError({
    argument: 'chunk_size',
    expected:
      largest > 0
        ? `at most ${largest}, so that each of ${cp_size} ranks gets some of ${total_seqlen} tokens`
        : `at least one token for each of ${cp_size} ranks, and there are ${total_seqlen}`,
    actual: chunk_size,
  })
}

interface PadOptions {
  readonly pad_size: number | null | undefined
  readonly total_seqlen: number
  readonly cp_size: number
  readonly chunk_size: number
  readonly uneven_shard: boolean
}

/** The given padding, or the least that works. @throws ArgumentError for one that does not */
export function choosePadSize({
  pad_size,
  total_seqlen,
  cp_size,
  chunk_size,
  uneven_shard,
}: PadOptions): number {
  const least = uneven_shard ? 0 : compute_pad_size({ total_seqlen_q: total_seqlen, cp_size, chunk_size })
  if (pad_size === undefined || pad_size === null) return least
  requireInteger('pad_size', pad_size, 0)
  const unit = chunk_size * cp_size
  if (uneven_shard ? pad_size === 0 : (total_seqlen + pad_size) % unit === 0) return pad_size
  throw new ArgumentError({
    argument: 'pad_size',
    expected: uneven_shard
      ? '0, since uneven shards need no padding'
      : `${least}, which makes ${total_seqlen} tokens a multiple of ${cp_size} ranks times chunks of ${chunk_size}`,
    actual: pad_size,
    hint: 'Leave it out, or use compute_pad_size with the same chunk_size.',
  })
}
