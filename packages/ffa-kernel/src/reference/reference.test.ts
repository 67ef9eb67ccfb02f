import type { Band } from '@magi-attention/common'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttentionProblem } from './attention-problem.js'
import { referenceBackward } from './reference-backward.js'
import { referenceForward } from './reference-forward.js'
import { countAttendedCells, rowIntervals } from './row-intervals.js'

const INF = Number.POSITIVE_INFINITY

/** The worked example: one head, scale 0.5. */
function workedExample(overrides: Partial<AttentionProblem>): AttentionProblem {
  return {
    q: Float64Array.of(1, 0, 0, 1, 1, 1),
    k: Float64Array.of(1, 1, 0, 2),
    v: Float64Array.of(1, 0, 0, 1),
    totalQ: 3,
    totalK: 2,
    numHeadsQ: 1,
    numHeadsKv: 1,
    headDim: 2,
    bands: [{ q0: 0, q1: 3, k0: 0, k1: 2, lo: -INF, hi: -1 }],
    softmaxScale: 0.5,
    softcap: 0,
    sink: null,
    sinkLayout: 'sh',
    sinkTokens: 0,
    ...overrides,
  }
}
const fullBand: Band = { q0: 0, q1: 3, k0: 0, k1: 2, lo: -INF, hi: INF }
const dout = Float64Array.of(1, 2, 1, 2, 1, 2)

function expectDigits(actual: ArrayLike<number> | null, expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length)
  expected.forEach((value, i) => {
    const got = actual![i]!
    if (Number.isFinite(value)) expect(Math.abs(got - value)).toBeLessThan(1e-6)
    else expect(got).toBe(value)
  })
}

describe('reference attention, worked by hand', () => {
  it('causal [0,3) x [0,2): an empty first row', () => {
    const problem = workedExample({})
    const forward = referenceForward(problem)
    expectDigits(forward.out, [0, 0, 1, 0, 0.5, 0.5])
    expectDigits(forward.lse, [-INF, 0.5, 1.693147])
    expectDigits(forward.maxLogits, [1])
    const { dq, dk, dv, dsink } = referenceBackward(problem, dout, forward)
    expectDigits(dq, [0, 0, 0, 0, -0.125, 0.125])
    expectDigits(dk, [-0.125, -0.125, 0.125, 0.125])
    expectDigits(dv, [1.5, 3, 0.5, 1])
    expect(dsink).toBeNull()
  })

  it('the same with a sink', () => {
    const problem = workedExample({ sink: Float64Array.of(0.5), sinkTokens: 1 })
    const forward = referenceForward(problem)
    expectDigits(forward.out, [0, 0, 0.5, 0, 0.383652, 0.383652])
    expectDigits(forward.lse, [0.5, 1.193147, 1.95802])
    expectDigits(forward.maxLogits, [1])
    const { dq, dk, dv, dsink } = referenceBackward(problem, dout, forward)
    expectDigits(dq, [0, 0, 0.125, 0.125, -0.028957, 0.29678])
    expectDigits(dk, [-0.028957, 0.096043, 0.162869, 0.162869])
    expectDigits(dv, [0.883652, 1.767303, 0.383652, 0.767303])
    expectDigits(dsink, [-0.517823])
  })

  it('full [0,3) x [0,2) with softcap 1', () => {
    const problem = workedExample({ bands: [fullBand], softcap: 1 })
    const forward = referenceForward(problem)
    expectDigits(forward.out, [0.613516, 0.386484, 0.425685, 0.574315, 0.5, 0.5])
    expectDigits(forward.lse, [0.950666, 1.316172, 1.454741])
    expectDigits(forward.maxLogits, [Math.tanh(1)])
    const { dq, dk, dv } = referenceBackward(problem, dout, forward)
    expectDigits(dq, [-0.093239, 0.143875, -0.096134, 0.00654, -0.052497, 0.052497])
    expectDigits(dk, [-0.145736, -0.148631, 0.171054, 0.103834])
    expectDigits(dv, [1.539202, 3.078403, 1.460798, 2.921597])
  })

  it('counts a cell once when two slices cover it', () => {
    const once = referenceForward(workedExample({ bands: [fullBand] }))
    const twice = referenceForward(workedExample({ bands: [fullBand, fullBand, { ...fullBand, k1: 1 }] }))
    expect(twice).toEqual(once)
  })

  it('has no logit, no output and lse -Infinity without slices', () => {
    const { out, lse, maxLogits } = referenceForward(workedExample({ bands: [] }))
    expectDigits(out, [0, 0, 0, 0, 0, 0])
    expectDigits(lse, [-INF, -INF, -INF])
    expectDigits(maxLogits, [-INF])
  })
})

const bandArbitrary = fc
  .tuple(fc.nat(7), fc.nat(7), fc.nat(7), fc.nat(7), fc.integer({ min: -8, max: 8 }), fc.nat(8), fc.nat(3))
  .map(([a, b, c, d, lo, width, open]): Band => {
    return {
      q0: Math.min(a, b),
      q1: Math.max(a, b),
      k0: Math.min(c, d),
      k1: Math.max(c, d),
      lo: open & 1 ? -INF : lo,
      hi: open & 2 ? INF : lo + width,
    }
  })

function isAttended(bands: readonly Band[], i: number, j: number): boolean {
  return bands.some(b => b.q0 <= i && i < b.q1 && b.k0 <= j && j < b.k1 && b.lo <= j - i && j - i <= b.hi)
}

const problemArbitrary = fc
  .record({
    totalQ: fc.integer({ min: 1, max: 7 }),
    totalK: fc.integer({ min: 1, max: 7 }),
    numHeadsKv: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 3 }),
    bands: fc.array(bandArbitrary, { maxLength: 4 }),
    softcap: fc.constantFrom(0, 0.7, 3),
    sinkLayout: fc.constantFrom('sh' as const, 'ssh' as const),
    sinkTokens: fc.integer({ min: 0, max: 3 }),
    seed: fc.integer({ min: 1, max: 1 << 30 }),
  })
  .map(({ group, seed, ...shape }): AttentionProblem => {
    const { totalQ, totalK, numHeadsKv, sinkTokens, sinkLayout } = shape
    const headDim = 5
    const numHeadsQ = numHeadsKv * group
    const random = randomNumbers(seed)
    return {
      ...shape,
      numHeadsQ,
      headDim,
      softmaxScale: 0.6,
      q: random(totalQ * numHeadsQ * headDim),
      k: random(totalK * numHeadsKv * headDim),
      v: random(totalK * numHeadsKv * headDim),
      sink: sinkTokens === 0 ? null : random((sinkLayout === 'ssh' ? totalQ : 1) * sinkTokens * numHeadsQ),
    }
  })

/** Uniform numbers in [-1, 1) (Park and Miller). */
function randomNumbers(seed: number): (count: number) => Float64Array {
  let state = seed
  const next = () => {
    state = (state * 48271) % 2147483647
    return (2 * state) / 2147483647 - 1
  }
  return count => Float64Array.from({ length: count }, next)
}

/** Attention as its definition reads, over a dense boolean mask. */
function denseForward(p: AttentionProblem): { out: number[]; lse: number[]; maxLogits: number[] } {
  const out: number[] = new Array(p.q.length).fill(0)
  const lse: number[] = []
  const maxLogits: number[] = new Array(p.numHeadsQ).fill(-INF)
  for (let i = 0; i < p.totalQ; i++) {
    for (let h = 0; h < p.numHeadsQ; h++) {
      const kvHead = Math.floor(h / (p.numHeadsQ / p.numHeadsKv))
      let sum = 0
      for (let t = 0; t < p.sinkTokens; t++) {
        const at = p.sinkLayout === 'sh' ? t * p.numHeadsQ + h : (i * p.sinkTokens + t) * p.numHeadsQ + h
        sum += Math.exp(p.sink![at]!)
      }
      const weights: number[] = []
      for (let j = 0; j < p.totalK; j++) {
        let logit = 0
        for (let d = 0; d < p.headDim; d++) {
          logit +=
            p.q[(i * p.numHeadsQ + h) * p.headDim + d]! * p.k[(j * p.numHeadsKv + kvHead) * p.headDim + d]!
        }
        logit *= p.softmaxScale
        if (p.softcap > 0) logit = p.softcap * Math.tanh(logit / p.softcap)
        const attended = isAttended(p.bands, i, j)
        weights.push(attended ? Math.exp(logit) : 0)
        if (attended) maxLogits[h] = Math.max(maxLogits[h]!, logit)
        sum += weights[j]!
      }
      lse.push(Math.log(sum))
      for (let j = 0; j < p.totalK; j++) {
        if (weights[j] === 0) continue
        for (let d = 0; d < p.headDim; d++) {
          const v = p.v[(j * p.numHeadsKv + kvHead) * p.headDim + d]!
          out[(i * p.numHeadsQ + h) * p.headDim + d]! += (weights[j]! / sum) * v
        }
      }
    }
  }
  return { out, lse, maxLogits }
}

function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length)
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] !== expected[i]) expect(Math.abs(actual[i]! - expected[i]!)).toBeLessThan(tolerance)
  }
}

describe('referenceForward', () => {
  it('equals the dense definition on generated masks', () => {
    fc.assert(
      fc.property(problemArbitrary, problem => {
        const actual = referenceForward(problem)
        const expected = denseForward(problem)
        expectNear(actual.out, expected.out, 1e-12)
        expectNear(actual.lse, expected.lse, 1e-12)
        expectNear(actual.maxLogits, expected.maxLogits, 1e-12)
      }),
      { numRuns: 500 },
    )
  })
})

describe('rowIntervals', () => {
  it('covers exactly the cells of the union', () => {
    fc.assert(
      fc.property(fc.array(bandArbitrary, { maxLength: 5 }), bands => {
        let cells = 0
        rowIntervals(bands, 6, 5).forEach((intervals, i) => {
          for (let j = 0; j < 5; j++) {
            let times = 0
            for (let n = 0; n < intervals.length; n += 2) {
              if (intervals[n]! <= j && j < intervals[n + 1]!) times++
            }
            expect(times).toBe(isAttended(bands, i, j) ? 1 : 0)
            cells += times
          }
        })
        expect(countAttendedCells(bands, 6, 5)).toBe(cells)
      }),
      { numRuns: 500 },
    )
  })
})

describe('referenceBackward', () => {
  it('equals central differences of the forward pass', () => {
    fc.assert(
      fc.property(problemArbitrary, problem => {
        const gradOut = randomNumbers(77)(problem.q.length)
        const grads = referenceBackward(problem, gradOut, referenceForward(problem))
        const loss = () => referenceForward(problem).out.reduce((sum, o, i) => sum + o * gradOut[i]!, 0)
        const step = 1e-5
        const differences = (input: Float64Array) =>
          input.map((value, i) => {
            input[i] = value + step
            const above = loss()
            input[i] = value - step
            const below = loss()
            input[i] = value
            return (above - below) / (2 * step)
          })
        expectNear(grads.dq, differences(problem.q), 1e-8)
        expectNear(grads.dk, differences(problem.k), 1e-8)
        expectNear(grads.dv, differences(problem.v), 1e-8)
        if (problem.sink === null) expect(grads.dsink).toBeNull()
        else expectNear(grads.dsink!, differences(problem.sink), 1e-8)
      }),
      { numRuns: 60 },
    )
  })
})
