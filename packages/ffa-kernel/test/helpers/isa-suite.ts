import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadCpuLibrary } from '../../src/native/library.js'
import { ErrorTally, expectCase } from './expect-case.js'
import { caseArbitrary } from './generate-case.js'

/**
 * Tests one instruction set. The library chooses it when it is loaded, so each has a test file, and with it a process, of its
 * own. A machine without it runs what it has instead, and says so.
 */
export function describeIsa(isa: string): void {
  process.env.MAGI_ATTENTION_CPU_ISA = isa
  const actual = loadCpuLibrary().isa
  const note = actual === isa ? '' : ` (this machine has ${actual} at most)`

  describe(`the ${isa} kernels${note}`, () => {
    it('agree with the reference on 200 generated masks', () => {
      const tally = new ErrorTally()
      const limits = {
        maxTokens: 80,
        maxSlices: 5,
        headDims: [8, 24, 64, 128, 136, 256],
        dtypes: ['float32', 'bfloat16', 'float16'] as const,
      }
      fc.assert(
        fc.property(caseArbitrary(limits), c => {
          expectCase(c, tally)
        }),
        { numRuns: 200, seed: 11 },
      )
      for (const [name, ratio] of Object.entries(tally.ratios())) expect(ratio, name).toBeLessThan(2)
    })
  })
}
