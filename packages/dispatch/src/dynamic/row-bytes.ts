import type { HeadSizes } from '../dist-attn-solver/dist-attn-plan.js'
import type { RowBytes } from './work-grid.js'

/** Bytes that travel for one fetched row in each pass. */
export interface RowBytesPerPass {
  readonly forward: RowBytes
  readonly backward: RowBytes
}

const LSE_BYTES = 4

/**
 * Forward, q is fetched and out with its lse returned; k and v are fetched. Backward, q, out, grad_out and lse
 * are fetched and dq is returned; k and v are fetched, and dk and dv returned.
 */
export function rowBytes(heads: HeadSizes, bytes_per_element: number): RowBytesPerPass {
  const query = heads.num_heads_q * heads.head_dim * bytes_per_element
  const key = heads.num_heads_kv * heads.head_dim * bytes_per_element
  const lse = heads.num_heads_q * LSE_BYTES
  return {
    forward: { q: 2 * query + lse, k: 2 * key },
    backward: { q: 4 * query + lse, k: 4 * key },
  }
}
