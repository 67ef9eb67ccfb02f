import { ArgumentError, type MaskSlices } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { MinHeapDispatchAlg } from '../algorithms/min-heap.js'
import { DispatchConfig } from '../dispatch-config.js'
import { OverlapConfig } from '../overlap/overlap-config.js'
import { overlapCost } from '../overlap/overlap-cost.js'
import { rankColours } from './rank-colours.js'
import { draw_ranks_svg } from './ranks-svg.js'
import { type SimulateOptions, type Simulation, simulate } from './simulate.js'
import { timeline } from './timeline.js'
import { draw_timeline_svg } from './timeline-svg.js'

const options: SimulateOptions = {
  num_heads_q: 4,
  num_heads_kv: 2,
  head_dim: 8,
  cp_size: 2,
  chunk_size: 2,
  dispatch_config: new DispatchConfig({ alg: new MinHeapDispatchAlg() }),
}
const causal = (total: number): MaskSlices => ({
  q_ranges: [[0, total]],
  k_ranges: [[0, total]],
  attn_mask_type: 'causal',
})
const simulateCausal = (total: number, change: Partial<SimulateOptions> = {}) =>
  simulate(causal(total), { ...options, ...change })
const withDegree = (degree: number) => ({
  overlap_config: new OverlapConfig({ degree, min_chunk_size: 1 }),
})

/** Pixels within the closed outlines of a path. */
function pixelsOf(svg: string, kind: string): number {
  const path = svg.match(new RegExp(`<path class="${kind}" d="([^"]*)"`))?.[1] ?? ''
  return path
    .split('z')
    .filter(outline => outline !== '')
    .reduce((sum, outline) => {
      const points = outline
        .slice(1)
        .split('L')
        .map(point => point.split(' ').map(Number) as [number, number])
      const twice = points.reduce((area, [x, y], i) => {
        const [fromX, fromY] = points.at(i - 1)!
        return area + fromX * y - x * fromY
      }, 0)
      return sum + Math.abs(twice) / 2
    }, 0)
}

describe('timeline', () => {
  it('fetches from the start, and computes when the keys are there', () => {
    // Rank 0: 36 host cells, then 8 received rows for 32 cells.
    const { ranks, duration } = timeline(simulateCausal(16), { calc_cost_factor: 1, comm_cost_factor: 5 })
    expect(ranks[0]).toEqual({
      rank: 0,
      compute: [
        { stage: 0, start: 0, end: 36 },
        { stage: 1, start: 40, end: 72 },
      ],
      communication: [{ stage: 1, start: 0, end: 40 }],
      end: 72,
    })
    // Rank 1 receives 6 rows, but sends 8.
    expect(ranks[1]!.communication).toEqual([{ stage: 1, start: 0, end: 40 }])
    expect(duration).toBe(72)
  })

  it('computes in one go when nothing is to overlap', () => {
    const simulation = simulateCausal(16, withDegree(0))
    const [rank] = timeline(simulation, { comm_cost_factor: 2 }).ranks
    expect(rank).toMatchObject({
      compute: [{ stage: 0, start: 16, end: 84 }],
      communication: [{ stage: 1, start: 0, end: 16 }],
      end: 84,
    })
  })

  it('is never later than a schedule that fetches stage by stage', () => {
    for (const degree of [1, 2, 3, 5]) {
      for (const comm of [0.3, 1, 4, 40]) {
        const simulation = simulateCausal(96, { cp_size: 4, ...withDegree(degree) })
        const { ranks } = timeline(simulation, { comm_cost_factor: comm })
        simulation.ranks.forEach(({ hostCells, stages }, rank) => {
          const costs = stages.map(stage => ({
            comm_cost: comm * Math.max(stage.sentRows, stage.receivedRows),
            calc_cost: stage.cells,
          }))
          const inTurn = stages.map((_, stage) => [stage + 1])
          const cost = overlapCost([{ comm_cost: 0, calc_cost: hostCells }, ...costs], inTurn)
          expect(ranks[rank]!.end).toBeLessThanOrEqual(cost + 1e-9)
          expect(ranks[rank]!.compute.reduce((sum, { start, end }) => sum + end - start, 0)).toBeCloseTo(
            simulation.ranks[rank]!.cells,
          )
        })
      }
    }
  })

  it('refuses factors that are no times', () => {
    const simulation = simulateCausal(16)
    expect(() => timeline(simulation, { calc_cost_factor: 0 })).toThrow(/^calc_cost_factor: /)
    expect(() => timeline(simulation, { comm_cost_factor: Number.NaN })).toThrow(/^comm_cost_factor: /)
    expect(() => timeline(undefined as never)).toThrow(/^simulation: /)
  })
})

describe('draw_ranks_svg', () => {
  it('gives every rank the area of its cells', () => {
    const total = 2048
    const mask: MaskSlices = {
      q_ranges: [
        [0, 600],
        [600, total],
        [1400, total],
      ],
      k_ranges: [
        [0, 600],
        [600, total],
        [0, 300],
      ],
      attn_mask_type: ['causal', 'causal', 'full'],
    }
    const simulation = simulate(mask, { ...options, cp_size: 4, chunk_size: 64 })
    const svg = draw_ranks_svg(simulation, { size: 1024 })
    for (const { rank, cells } of simulation.ranks) {
      const pixels = cells * (1024 / total) ** 2
      expect(Math.abs(pixelsOf(svg, `r${rank}`) / pixels - 1)).toBeLessThan(0.01)
    }
  })

  it('stays small and true for a million tokens on a thousand ranks', () => {
    const simulation = simulateCausal(2 ** 20, { cp_size: 1024, chunk_size: 128 })
    const svg = draw_ranks_svg(simulation)
    expect(svg.length).toBeLessThan(300_000)
    const pixels = Array.from({ length: 1024 }, (_, rank) => pixelsOf(svg, `r${rank}`))
    const half = 480 ** 2 / 2
    expect(Math.abs(pixels.reduce((sum, area) => sum + area, 0) / half - 1)).toBeLessThan(0.02)
  })

  it('has a colour for each rank, and a legend', () => {
    const svg = draw_ranks_svg(simulateCausal(64, { cp_size: 4 }), { title: 'a < b', theme: 'dark' })
    expect(svg).toContain('a &lt; b')
    for (const rank of [0, 1, 2, 3]) expect(svg).toContain(`>rank ${rank}</text>`)
    expect(svg).toContain('64 tokens in chunks of 2 on 4 ranks')
    for (const count of [1, 8, 9, 64, 1024]) {
      const colours = rankColours(count)
      expect(colours).toHaveLength(count)
      for (const colour of colours) expect(colour).toMatch(/^#[0-9a-f]{6}$/)
      if (count <= 64) expect(new Set(colours).size).toBe(count)
    }
  })

  it('refuses options that are out of bounds', () => {
    const simulation = simulateCausal(16)
    expect(() => draw_ranks_svg(simulation, { size: 1 })).toThrow(/^size: /)
    expect(() => draw_ranks_svg(simulation, { theme: 'red' as never })).toThrow(/^theme: /)
    expect(() => draw_ranks_svg(simulation, { title: 3 as never })).toThrow(/^title: /)
    expect(() => draw_ranks_svg(null as never)).toThrow(ArgumentError)
  })
})

describe('draw_timeline_svg', () => {
  const bars = (svg: string, kind: string) =>
    [
      ...(svg.match(new RegExp(`<path class="${kind}" d="([^"]*)"`))?.[1] ?? '').matchAll(
        /M([\d.]+) [\d.]+H([\d.]+)/g,
      ),
    ].map(([, from, to]) => [Number(from), Number(to)])

  it('draws the spans to scale', () => {
    const svg = draw_timeline_svg(simulateCausal(16), { comm_cost_factor: 5, size: 720, unit: 'ms' })
    // 72 units of time are 720 pixels, from 78 on.
    expect(bars(svg, 'host')).toEqual([
      [78, 438],
      [78, 438],
    ])
    expect(bars(svg, 'remote0')).toEqual([
      [478, 798],
      [478, 798],
    ])
    expect(bars(svg, 'wire0')).toEqual([
      [78, 478],
      [78, 478],
    ])
    expect(svg).toContain('72 ms until the last rank is done')
    expect(svg).toContain('90 % of the communication hidden')
  })

  it('draws one rank, and a thousand', () => {
    const single = draw_timeline_svg(simulateCausal(16, { cp_size: 1 }))
    expect(bars(single, 'host')).toHaveLength(1)
    expect(single).not.toContain('wire0"')
    const simulation: Simulation = simulateCausal(2 ** 16, {
      cp_size: 1024,
      chunk_size: 32,
      ...withDegree(3),
    })
    const svg = draw_timeline_svg(simulation, { theme: 'light' })
    expect(bars(svg, 'host')).toHaveLength(1024)
    expect(svg.length).toBeLessThan(400_000)
  })

  it('refuses options that are out of bounds', () => {
    expect(() => draw_timeline_svg(simulateCausal(16), { size: 5000 })).toThrow(/^size: /)
    expect(() => draw_timeline_svg(simulateCausal(16), { calc_cost_factor: -1 })).toThrow(ArgumentError)
  })
})
