import { set_num_threads, tidy } from '@magi-attention/tensor'
import * as fc from 'fast-check'
import { afterAll, describe, it } from 'vitest'
import { expectSameBits } from './helpers/expect-same-bits.js'
import { type AttentionCase, caseArbitrary } from './helpers/generate-case.js'
import { type CaseResult, caseTensors, runKernel } from './helpers/run-case.js'

const run = (c: AttentionCase): CaseResult => {
  let result: CaseResult | undefined
  tidy(() => {
    result = runKernel(c, caseTensors(c))
  })
  return result!
}

describe('flex_flash_attn_func', () => {
  afterAll(() => {
    set_num_threads(2)
  })

  it('gives the same bits for 1, 2, 3 and 5 threads, and again', () => {
    const limits = {
      maxTokens: 400,
      maxSlices: 8,
      headDims: [16, 64, 128],
      dtypes: ['float32', 'bfloat16', 'float16'] as const,
    }
    fc.assert(
      fc.property(caseArbitrary(limits), c => {
        set_num_threads(1)
        const expected = run(c)
        for (const threads of [1, 2, 3, 5]) {
          set_num_threads(threads)
          for (let repeat = 0; repeat < 2; repeat++) expectSameBits(run(c), expected)
        }
      }),
      { numRuns: 60, seed: 5 },
    )
  })
})
