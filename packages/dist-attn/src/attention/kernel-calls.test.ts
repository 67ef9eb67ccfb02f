import type { Band } from '@magi-attention/common'
import { AttnArg, CalcMeta, DistAttnSolver, OverlapConfig } from '@magi-attention/dispatch'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CallSizes } from './call-costs.js'
import { type MergePolicy, planKernelCalls } from './kernel-calls.js'

const sizes: CallSizes = { num_heads_q: 8, num_heads_kv: 8, head_dim: 64, elementBytes: 2 }

/** The parts of all ranks of a mask of three bands, chunks dealt in turn. */
const calcMetas = fc
  .record({
    bands: fc.array(fc.tuple(fc.nat(23), fc.nat(23), fc.nat(23), fc.nat(23), fc.nat(3)), { maxLength: 3 }),
    degree: fc.integer({ min: 0, max: 4 }),
  })
  .map(({ bands, degree }) => {
    const range = (a: number, b: number) => [Math.min(a, b), Math.max(a, b) + 1] as [number, number]
    const solver = new DistAttnSolver({
      num_heads_q: 1,
      num_heads_kv: 1,
      head_dim: 1,
      overlap_config: new OverlapConfig({ degree, min_chunk_size: 2 }),
    })
    const plan = solver.solve({
      q_ranges: [[5, 6], ...bands.map(([a, b]) => range(a, b))],
      k_ranges: [[0, 24], ...bands.map(([, , c, d]) => range(c, d))],
      attn_mask_type: [0, ...bands.map(([, , , , type]) => type)],
      dispatch_meta_q: {
        total_seqlen: 24,
        chunk_size: 4,
        partitions: [
          [0, 3],
          [1, 4],
          [2, 5],
        ],
      },
    })
    return [0, 1, 2].map(rank => plan.makeCalcMeta(rank))
  })

/** `q/stage/key` of each cell, stage -1 for own keys. */
function cellsOf(bands: readonly Band[], row0: number, parts: readonly [stage: number, length: number][]) {
  const places = parts.flatMap(([stage, length]) => Array.from({ length }, (_, key) => `${stage}/${key}`))
  const cells: string[] = []
  for (const { q0, q1, k0, k1, lo, hi } of bands) {
    for (let q = q0; q < q1; q++) {
      for (let k = k0; k < k1; k++) if (lo <= k - q && k - q <= hi) cells.push(`${q + row0}/${places[k]}`)
    }
  }
  return cells
}

describe('planKernelCalls', () => {
  it.each(['auto', 'never', 'all'] as MergePolicy[])('computes each cell once, with %s', policy => {
    fc.assert(
      fc.property(calcMetas, metas => {
        for (const meta of metas) {
          const { seqlen_k_per_remote_stage: seqlens, seqlen_k_local } = meta
          const calls = planKernelCalls(meta, sizes, policy)
          expect(calls.map(({ hasOwnKeys }) => hasOwnKeys)).toEqual(calls.map((_, i) => i === 0))
          expect(calls.flatMap(({ stages }) => stages)).toEqual(seqlens.map((_, stage) => stage))
          const actual = calls.flatMap(({ hasOwnKeys, stages, seqlen_k, rows, arg }) => {
            const parts = stages.map(stage => [stage, seqlens[stage]!] as [number, number])
            if (hasOwnKeys) parts.unshift([-1, seqlen_k_local])
            expect(parts.reduce((sum, [, length]) => sum + length, 0)).toBe(seqlen_k)
            expect(rows.start + rows.length).toBeLessThanOrEqual(meta.seqlen_q_shard)
            return cellsOf(arg.bands, rows.start, parts)
          })
          const expected = [
            ...cellsOf(meta.local_attn_arg.bands, 0, [[-1, seqlen_k_local]]),
            ...meta.remote_attn_args_list.flatMap((arg, stage) =>
              cellsOf(arg.bands, 0, [[stage, seqlens[stage]!]]),
            ),
          ]
          expect(actual.sort()).toEqual(expected.sort())
        }
      }),
      { numRuns: 60 },
    )
  })

  /** 1,000 queries; for each stage its keys, and the cells with them. */
  function plan(hostCells: number, stages: [keys: number, cells: number][], policy: MergePolicy = 'auto') {
    const arg = (keys: number, total_area: number) =>
      new AttnArg({ q_ranges: [[0, 1000]], k_ranges: [[0, keys]], attn_type_map: [0], total_area })
    const meta = new CalcMeta({
      local_attn_arg: arg(1000, hostCells),
      remote_attn_args_list: stages.map(([keys, cells]) => arg(keys, cells)),
      headdim: sizes.head_dim,
      seqlen_q_shard: 1000,
      seqlen_k_local: 1000,
      seqlen_k_per_remote_stage: stages.map(([keys]) => keys),
    })
    return planKernelCalls(meta, sizes, policy).map(({ stages }) => stages)
  }

  it('has one call for all, or one for each, where that is asked for', () => {
    const two: [number, number][] = [
      [100, 1e5],
      [100, 1e5],
    ]
    expect(plan(1e6, two, 'all')).toEqual([[0, 1]])
    expect(plan(1e6, two, 'never')).toEqual([[], [0], [1]])
    expect(plan(1e6, [], 'auto')).toEqual([[]])
  })

  it('has one call where little arrives', () => {
    expect(plan(1e6, [[100, 1e5]])).toEqual([[0]])
  })

  it('hides what takes long to arrive behind own keys, in no more calls than that takes', () => {
    const much: [number, number] = [20_000, 2e7]
    expect(plan(1e7, [much, much])).toEqual([[], [0, 1]])
    expect(plan(0, [much])).toEqual([[0]])
  })

  it('hides a stage behind another, where own keys do not take long enough', () => {
    const much: [number, number] = [20_000, 2e7]
    expect(plan(0, [much, much])).toEqual([[0], [1]])
  })
})
