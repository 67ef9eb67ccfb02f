import { DeviceError } from '@magi-attention/common'
import { newEmpty } from '@magi-attention/tensor/internal'
import { afterAll, beforeAll, describe, it } from 'vitest'

const KERNEL = 'MAGI_ATTENTION_FFA_KERNEL'

/** Why tests cannot use a GPU here; null if they can. */
function gpuProblem(): string | null {
  try {
    newEmpty([1], 'int32', 'cuda:0').dispose()
    return null
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error
    return error.message
  }
}

/**
 * Tests that need a GPU. Without one they are skipped, and the reason printed; under MAGI_ATTENTION_REQUIRE_GPU, whatever
 * number it holds but 0, they fail.
 */
export function describeGpu(name: string, body: () => void): void {
  const problem = gpuProblem()
  if (problem === null) {
    describe(name, body)
  } else if (Number(process.env.MAGI_ATTENTION_REQUIRE_GPU ?? 0) !== 0) {
    describe(name, () => {
      it('has a GPU', () => {
        throw new Error(problem)
      })
    })
  } else {
    console.warn(`${name}: skipped, ${problem}`)
    describe.skip(name, body)
  }
}

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
