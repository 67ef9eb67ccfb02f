import type { AttnArg, RankPlan } from '@magi-attention/dispatch'
import type { DType, Tensor } from '@magi-attention/tensor'
import type { CpGroup } from '../runtime/resolve-group.js'
import type { KernelCall } from './kernel-calls.js'

/** One rank's part of attention over a sharded sequence. */
export interface DistAttnPart extends CpGroup {
  readonly plan: RankPlan
  /** At least one; the first has the rank's own keys. */
  readonly calls: readonly KernelCall[]
}

/** Options of the scores, the same in every stage. */
export interface Scores {
  readonly softmax_scale: number | null
  readonly softcap: number
}

export interface KeyValue {
  readonly k: Tensor
  readonly v: Tensor
}

/** The mask of a kernel call, as the kernel takes it. */
export function maskOf(arg: AttnArg): {
  q_ranges: Int32Array
  k_ranges: Int32Array
  attn_type_map: Int32Array
} {
  const { q_ranges, k_ranges, attn_type_map } = arg.to_ffa_args()
  return { q_ranges, k_ranges, attn_type_map }
}

/** dtype in which partial results add up. */
export function accumulationDType(dtype: DType): 'float32' | 'float64' {
  return dtype === 'float64' ? 'float64' : 'float32'
}

/** The rows of a call, of a tensor of all queries: a view. */
export function rowsOf(x: Tensor, { rows: { start, length } }: KernelCall): Tensor {
  return length === x.shape[0] ? x : x.narrow(0, start, length)
}
