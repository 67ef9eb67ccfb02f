import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One row of the results of `benchmarks/ffa/run.py`. */
export interface ResultRow {
  readonly mask: string
  readonly tokens: number
  readonly head_dim: number
  readonly direction: 'forward' | 'backward'
  /** By kernel: `ours` and the peers of the same run. */
  readonly tflops: Readonly<Record<string, number>>
}

export interface Series {
  readonly kernel: string
  /** Tokens and TFLOP/s, by tokens. */
  readonly points: readonly (readonly [number, number])[]
}

type Recorded = Record<string, Record<string, Record<string, [number, number]>>>

/** Kernels that are not part of a run: their figures were measured once and are kept in a file. */
const recorded: Recorded = JSON.parse(readFileSync(join(import.meta.dirname, '../ffa/recorded.json'), 'utf8'))
const recordedKernels = ['fa3', 'ffa']

/** What one panel of the chart shows: every kernel that has figures for the mask, by number of tokens. */
export function seriesOf(
  rows: readonly ResultRow[],
  mask: string,
  headDim: number,
  direction: ResultRow['direction'],
): Series[] {
  const ofPanel = rows
    .filter(row => row.mask === mask && row.head_dim === headDim && row.direction === direction)
    .toSorted((a, b) => a.tokens - b.tokens)
  const kernels = [...new Set(ofPanel.flatMap(row => Object.keys(row.tflops)))]
  const measured = kernels.map(kernel => ({
    kernel,
    points: ofPanel.flatMap(({ tokens, tflops }) =>
      tflops[kernel] === undefined ? [] : [[tokens, tflops[kernel]] as const],
    ),
  }))
  if (headDim !== 128) return measured
  const others = recordedKernels.map(kernel => ({
    kernel,
    points: Object.entries(recorded[kernel]?.[mask] ?? {}).map(
      ([tokens, rates]) => [Number(tokens), rates[direction === 'forward' ? 0 : 1]] as const,
    ),
  }))
  return [...measured, ...others].filter(({ points }) => points.length > 0)
}
