export * from '@magi-attention/common'
export * from '@magi-attention/ffa-kernel'
export * from '@magi-attention/tensor'
export * from '@magi-attention/utils'
