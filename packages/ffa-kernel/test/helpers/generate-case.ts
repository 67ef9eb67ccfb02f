import type { DType } from '@magi-attention/tensor'
import * as fc from 'fast-check'
import type { SinkLayout } from '../../src/index.js'

/** A generated attention problem; its values follow from the seed. */
export interface AttentionCase {
  readonly dtype: DType
  readonly totalQ: number
  readonly totalK: number
  readonly numHeadsQ: number
  readonly numHeadsKv: number
  readonly headDim: number
  readonly slices: readonly Slice[]
  readonly softmaxScale: number | null
  readonly softcap: number
  /** 0: no sink. */
  readonly sinkTokens: number
  readonly sinkLayout: SinkLayout
  readonly seed: number
}

export interface Slice {
  readonly q: readonly [number, number]
  readonly k: readonly [number, number]
  readonly type: number
}

export interface CaseLimits {
  readonly maxTokens: number
  readonly maxSlices: number
  readonly headDims: readonly number[]
  readonly dtypes: readonly DType[]
}

function sliceArbitrary(totalQ: number, totalK: number): fc.Arbitrary<Slice> {
  return fc
    .tuple(fc.nat(totalQ), fc.nat(totalQ), fc.nat(totalK), fc.nat(totalK), fc.nat(3))
    .map(([a, b, c, d, type]) => ({
      q: [Math.min(a, b), Math.max(a, b)],
      k: [Math.min(c, d), Math.max(c, d)],
      type,
    }))
}

/** Masks of all types in any order, overlapping, empty, with rows without keys; ragged sizes; all head ratios. */
export function caseArbitrary(limits: CaseLimits): fc.Arbitrary<AttentionCase> {
  const size = fc.nat(limits.maxTokens)
  return fc.tuple(size, size).chain(([totalQ, totalK]) =>
    fc
      .record({
        slices: fc.array(sliceArbitrary(totalQ, totalK), { maxLength: limits.maxSlices }),
        heads: fc.constantFrom([1, 1], [2, 2], [2, 1], [4, 1], [4, 2], [8, 1], [3, 3], [6, 3]),
        dtype: fc.constantFrom(...limits.dtypes),
        headDim: fc.constantFrom(...limits.headDims),
        softmaxScale: fc.constantFrom(null, null, 0.3, -0.2, 0),
        softcap: fc.constantFrom(0, 0, 1.5, 20),
        sinkTokens: fc.constantFrom(0, 0, 1, 3, 8),
        sinkLayout: fc.constantFrom('sh' as const, 'ssh' as const),
        seed: fc.nat(1 << 30),
      })
      .map(({ heads, ...rest }) => ({
        ...rest,
        totalQ,
        totalK,
        numHeadsQ: heads[0]!,
        numHeadsKv: heads[1]!,
      })),
  )
}
