/** The last rank leaves before the attention; the others learn of it, and can go on. */
import assert from 'node:assert/strict'
import { destroy_process_group, init_process_group } from '@magi-attention/comm'
import { PeerLostError } from '@magi-attention/common'
import { randn } from '@magi-attention/tensor'
import { calc_attn, dispatch, magi_attn_flex_key } from '../../src/index.js'

const group = init_process_group({ timeout: 60 })
const total = 64
const key = magi_attn_flex_key({
  q_ranges: [[0, total]],
  k_ranges: [[0, total]],
  attn_mask_type: 'causal',
  total_seqlen_q: total,
  total_seqlen_k: total,
  cp_group_or_mesh: group,
})
const local = dispatch({ x: randn(total, 2, 8, { requires_grad: true }), key })
if (group.rank() === group.size() - 1) process.exit(0)

assert.throws(
  () => calc_attn({ q: local, k: local, v: local, key }),
  (error: unknown) => error instanceof PeerLostError && error.ranks.includes(group.size() - 1),
)
assert.equal(dispatch({ x: randn(total, 3), key }).shape[1], 3)
destroy_process_group()
