import { expect } from 'vitest'
import type { CaseResult } from './run-case.js'

/** Bit by bit: -0 and 0 differ. */
export function expectSameBits(actual: CaseResult, expected: CaseResult): void {
  for (const name of ['out', 'lse', 'maxLogits', 'dq', 'dk', 'dv', 'dsink'] as const) {
    const a = actual[name]
    const b = expected[name]
    if (a === null || b === null) expect(a).toBe(b)
    else expect(Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer)), name).toBe(0)
  }
}
