import { DeviceError } from '@magi-attention/common'
import { cuda } from '@magi-attention/tensor'
import { describe, expect, it } from 'vitest'

/** Why tests on this many GPUs cannot run here; null if they can. */
export function gpuProblem(count = 1): string | null {
  try {
    for (let index = 0; index < count; index++) cuda.get_device_properties(index)
    return null
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error
    return error.message
  }
}

/** Whether the GPU is the emulator of tests/cuda-emulator: right, but slow, and without errors of its own. */
export const isEmulated = gpuProblem() === null && cuda.get_device_name(0) === 'CUDA emulator'

/** Whether MAGI_ATTENTION_REQUIRE_GPU asks for so many GPUs. What is no number asks for any. */
function isRequired(count: number): boolean {
  return !(Number(process.env.MAGI_ATTENTION_REQUIRE_GPU ?? 0) < count)
}

/**
 * A suite that needs a GPU, or several. Without them it is skipped, and says why; under MAGI_ATTENTION_REQUIRE_GPU=N it
 * fails if it needs N or fewer.
 */
export function describeOnGpu(name: string, body: () => void, count = 1): void {
  const problem = gpuProblem(count)
  if (problem === null) {
    describe(name, body)
  } else if (isRequired(count)) {
    it(`${name}: needs ${count} GPU(s)`, () => expect.fail(problem))
  } else {
    console.log(`${name}: skipped, since ${problem}`)
    describe.skip(name, body)
  }
}
