export * from '@magi-attention/comm'
export * from '@magi-attention/common'
export * from '@magi-attention/dispatch'
export * from '@magi-attention/dist-attn'
export * from '@magi-attention/ffa-kernel'
export * from '@magi-attention/tensor'
export * from '@magi-attention/utils'
// Both have it, as planning must do without the helpers for programs.
export { perm_idxs2unperm_idxs } from '@magi-attention/utils'
