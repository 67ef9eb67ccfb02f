import { ArgumentError, UnsupportedError } from '@magi-attention/common'
import type { IndexAttentionOptions, MaskOptions, PerformanceOptions } from './options.js'

/** Checks the types of the tuning flags. @throws ArgumentError */
export function checkPerformanceOptions(options: PerformanceOptions): void {
  checkFlag('deterministic', options.deterministic)
  checkFlag('disable_fwd_atomic_reduction', options.disable_fwd_atomic_reduction)
  checkFlag('disable_bwd_dkv_atomic_reduction', options.disable_bwd_dkv_atomic_reduction)
  checkFlag('auto_range_merge', options.auto_range_merge)
  checkFlag('swap_ab', options.swap_ab)
  checkFlag('pack_gqa', options.pack_gqa)
  checkFlag('cat_gqa', options.cat_gqa)
  checkFlag('sparse_load', options.sparse_load)
  checkFlag('swap_bwd_qk_loop', options.swap_bwd_qk_loop)
  checkInteger('sm_margin', options.sm_margin, 0)
  checkInteger('max_seqlen_q', options.max_seqlen_q, 0)
  const { ref_block_size: refBlockSize } = options
  if (refBlockSize === undefined || refBlockSize === null) return
  if (!Array.isArray(refBlockSize) || refBlockSize.length !== 2) {
    throw new ArgumentError({
      argument: 'ref_block_size',
      expected: 'a pair [q_block, k_block]',
      actual: refBlockSize,
    })
  }
  checkInteger('ref_block_size[0]', refBlockSize[0], 1)
  checkInteger('ref_block_size[1]', refBlockSize[1], 1)
}

/**
 * Checks that a mask is given either by ranges or by key indices.
 *
 * @throws ArgumentError for both or values of the wrong type, UnsupportedError for blocks of more than one token
 */
export function checkIndexAttentionOptions(options: MaskOptions & IndexAttentionOptions): void {
  checkFlag('index_attn', options.index_attn)
  checkInteger('q_block_size', options.q_block_size, 1)
  checkInteger('k_block_size', options.k_block_size, 1)
  checkBlockSize('q_block_size', options.q_block_size)
  checkBlockSize('k_block_size', options.k_block_size)
  const { index_attn_indices: indices } = options
  if (!isGiven(indices)) {
    if (!options.index_attn) return
    throw new ArgumentError({
      argument: 'index_attn_indices',
      expected: 'an int32 tensor [total_q, num_heads_kv, topk] beside index_attn',
      actual: indices,
    })
  }
  for (const argument of ['q_ranges', 'k_ranges', 'attn_type_map'] as const) {
    if (!isGiven(options[argument])) continue
    throw new ArgumentError({
      argument,
      expected: 'nothing, since index_attn_indices is the mask',
      actual: options[argument],
      hint: 'Pass one of q_ranges and index_attn_indices.',
    })
  }
}

function checkBlockSize(argument: string, value: number | undefined): void {
  if (value === undefined || value === 1) return
  throw new UnsupportedError({
    argument,
    expected: '1: indices of single tokens',
    actual: value,
    hint: 'Write the blocks as q_ranges and k_ranges.',
  })
}

/** @throws ArgumentError unless the flag is absent or a boolean. */
export function checkFlag(argument: string, value: unknown): void {
  if (value === undefined || typeof value === 'boolean') return
  throw new ArgumentError({ argument, expected: 'true or false', actual: value })
}

function checkInteger(argument: string, value: unknown, min: number): void {
  if (!isGiven(value) || (Number.isSafeInteger(value) && (value as number) >= min)) return
  throw new ArgumentError({ argument, expected: `an integer of at least ${min}`, actual: value })
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null
}
