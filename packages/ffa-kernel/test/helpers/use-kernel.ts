import { afterAll, beforeAll } from 'vitest'

const KERNEL = 'MAGI_ATTENTION_FFA_KERNEL'

/** Runs the tests that follow in this block with these kernels. */
export function useKernel(name: 'sm80' | 'sm90'): void {
  const before = process.env[KERNEL]
  beforeAll(() => {
    process.env[KERNEL] = name
  })
  afterAll(() => {
    if (before === undefined) delete process.env[KERNEL]
    else process.env[KERNEL] = before
  })
}
