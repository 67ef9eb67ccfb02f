export * from '@magi-attention/ffa-kernel/reference'
