import { cuda } from '@magi-attention/tensor'
import { inspectCuda } from '@magi-attention/tensor/internal'
import { describe, expect, it } from 'vitest'

/** Why tests on this many GPUs cannot run here; null if they can. */
export function gpuProblem(count = 1): string | null {
  if (!cuda.is_available()) return inspectCuda().problem
  return cuda.device_count() < count ? `this machine has ${cuda.device_count()} of ${count} GPUs` : null
}

/**
 * A suite that needs a GPU, or several. Without them it is skipped, and says why; under MAGI_ATTENTION_REQUIRE_GPU=N it
 * fails if it needs N or fewer.
 */
export function describeOnGpu(name: string, body: () => void, count = 1): void {
  const problem = gpuProblem(count)
  if (problem === null) {
    describe(name, body)
  } else if (Number(process.env.MAGI_ATTENTION_REQUIRE_GPU ?? 0) >= count) {
    it(`${name}: needs ${count} GPU(s)`, () => expect.fail(problem))
  } else {
    console.log(`${name}: skipped, since ${problem}`)
    describe.skip(name, body)
  }
}
