import { ArgumentError, apply_padding, ShapeError } from '@magi-attention/common'
import { make_dispatch_meta_from_qk_ranges } from '@magi-attention/dispatch'
import type { Tensor } from '@magi-attention/tensor'
import { requireInteger, requireOptions } from '../check.js'
import { DistAttnConfig } from '../dist-attn-config.js'
import { readSwitches } from '../env.js'
import { resolveCpGroup } from '../runtime/resolve-group.js'
import { dist_attn_runtime_dict_mgr } from '../runtime/runtime-dict.js'
import { DistAttnRuntimeKey } from '../runtime/runtime-key.js'
import { DistAttnRuntimeMgr } from '../runtime/runtime-manager.js'
import { dispatch } from './data-movement.js'
import { flexKeys, type MagiAttnFlexKeyOptions } from './key-options.js'
import { chooseChunkSize, choosePadSize, parseHeads } from './sizes.js'

/**
 * Plans attention over any mask for a sequence that the ranks of a group share: which tokens go where, and what travels.
 * Every rank must call it with the same arguments; nothing is sent. The mask is the union of the slices, and the planned
 * work of equal keys is remembered.
 *
 * @returns the key that the other functions take
 * @throws ArgumentError for an option that is unknown or of the wrong type, sizes that do not fit each other, and a mask
 * without cells; InvalidRangeError for ranges that end before they start or leave the sequence; ShapeError for lists of
 * different lengths; UnsupportedError for anything but self-attention, and for switches that this build does not have
 */
export function magi_attn_flex_key(options: MagiAttnFlexKeyOptions): DistAttnRuntimeKey {
  requireOptions('magi_attn_flex_key', options, flexKeys)
  const { dist_attn_config = new DistAttnConfig() } = options
  if (!(dist_attn_config instanceof DistAttnConfig)) {
    throw new ArgumentError({
      argument: 'dist_attn_config',
      expected: 'a DistAttnConfig',
      actual: dist_attn_config,
      hint: 'Pass new DistAttnConfig({ … }).',
    })
  }
  const switches = readSwitches()
  const { group, mesh } = resolveCpGroup(options.cp_group_or_mesh, switches)
  const heads = parseHeads(options)
  const total_seqlen = parseTotal(options)
  const { dispatch_config } = dist_attn_config
  const { uneven_shard } = dispatch_config
  const cp_size = group.size()
  const { minChunksPerRank } = switches
  const { chunk_size: given, pad_size: givenPad } = options
  const sizes = { dispatch_config, total_seqlen, cp_size, minChunksPerRank }
  const chunk_size = chooseChunkSize({ ...sizes, chunk_size: given })
  const pad_size = choosePadSize({ pad_size: givenPad, total_seqlen, cp_size, chunk_size, uneven_shard })
  const [q_ranges, k_ranges, attn_mask_type, padded_seqlen] = apply_padding({
    q_ranges: options.q_ranges,
    k_ranges: options.k_ranges,
    attn_mask_type: options.attn_mask_type as string[],
    total_seqlen_q: total_seqlen,
    total_seqlen_k: total_seqlen,
    pad_size,
  })
  const key = new DistAttnRuntimeKey({
    q_ranges,
    k_ranges,
    attn_mask_type,
    total_seqlen: padded_seqlen,
    heads,
    pad_size,
    chunk_size,
    cp_group: group,
    cp_mesh: mesh,
    dist_attn_config,
    uneven_shard,
    switches,
    key_for_dispatch: null,
  })
  const { is_same_source, is_q_permutable, is_k_permutable } = options
  const isKnown = dist_attn_runtime_dict_mgr.get(key) !== undefined
  const isUsual = [is_same_source, is_q_permutable, is_k_permutable].every(
    flag => flag === undefined || flag === true,
  )
  if (isKnown && isUsual) return key
  const metas = make_dispatch_meta_from_qk_ranges({
    q_ranges,
    k_ranges,
    attn_mask_type,
    total_seqlen_q: padded_seqlen,
    total_seqlen_k: padded_seqlen,
    chunk_size,
    cp_size,
    cp_rank: group.rank(),
    dispatch_config,
    is_same_source,
    is_q_permutable,
    is_k_permutable,
  })
  dist_attn_runtime_dict_mgr.set(key, new DistAttnRuntimeMgr(key, metas))
  return key
}

/**
 * Makes a key, and dispatches `x` by it.
 *
 * @param x `[total_seqlen_q, …]`, the same on every rank
 * @returns this rank's rows `[shard_seqlen, …]`, and the key
 * @throws as `magi_attn_flex_key` and `dispatch`
 */
export function magi_attn_flex_dispatch(
  x: Tensor,
  options: MagiAttnFlexKeyOptions,
): [local_x: Tensor, key: DistAttnRuntimeKey] {
  const key = magi_attn_flex_key(options)
  return [dispatch({ x, key }), key]
}

function parseTotal({ total_seqlen_q, total_seqlen_k }: MagiAttnFlexKeyOptions): number {
  requireInteger('total_seqlen_q', total_seqlen_q, 1)
  requireInteger('total_seqlen_k', total_seqlen_k, 1)
  if (total_seqlen_q === total_seqlen_k) return total_seqlen_q
  throw new ShapeError({
    argument: 'total_seqlen_k',
    expected: `${total_seqlen_q}, as total_seqlen_q, since queries and keys are of one sequence`,
    actual: total_seqlen_k,
  })
}
