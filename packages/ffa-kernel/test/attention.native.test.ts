import * as fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { ErrorTally, expectCase } from './helpers/expect-case.js'
import { caseArbitrary } from './helpers/generate-case.js'

const tally = new ErrorTally()
const dtypes = ['float32', 'bfloat16', 'float16'] as const

function expectAll(count: number, seed: number, arbitrary: ReturnType<typeof caseArbitrary>): void {
  fc.assert(
    fc.property(arbitrary, c => {
      expectCase(c, tally)
    }),
    { numRuns: count, seed },
  )
}

describe('flex_flash_attn_func against the float64 reference', () => {
  it('on 1,600 generated masks of up to 40 tokens', () => {
    expectAll(1600, 1, caseArbitrary({ maxTokens: 40, maxSlices: 8, headDims: [8, 16, 24, 40], dtypes }))
  })

  it('on 400 generated masks of up to 100 tokens', () => {
    expectAll(400, 2, caseArbitrary({ maxTokens: 100, maxSlices: 6, headDims: [32, 64], dtypes }))
  })

  it('on 60 generated masks of up to 300 tokens', () => {
    expectAll(60, 3, caseArbitrary({ maxTokens: 300, maxSlices: 12, headDims: [16, 64, 128], dtypes }))
  })

  it.each(Array.from({ length: 32 }, (_, i) => 8 * (i + 1)))('with head_dim %i', headDim => {
    expectAll(6, headDim, caseArbitrary({ maxTokens: 70, maxSlices: 3, headDims: [headDim], dtypes }))
  })

  afterAll(() => {
    // Error of the kernel over that of a dense computation in the same precision.
    for (const [name, ratio] of Object.entries(tally.ratios())) expect(ratio, name).toBeLessThan(2)
  })
})
