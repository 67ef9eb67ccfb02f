import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { drawChart } from '../benchmarks/chart/chart.js'
import { root } from './workspace.js'

const hasPython = spawnSync('python3', ['--version']).status === 0
if (!hasPython) console.log('benchmarks/ffa: its tests were skipped, because there is no python3')

describe.skipIf(!hasPython)('benchmarks/ffa', () => {
  it('passes its own tests, as far as they need no PyTorch', () => {
    const folder = join(root, 'benchmarks/ffa')
    const { stderr, status } = spawnSync('python3', ['-B', '-m', 'unittest', 'discover', '-s', folder], {
      encoding: 'utf8',
    })
    expect(stderr).toMatch(/^OK/m)
    expect(status).toBe(0)
  })
})

describe('the chart of attention rates', () => {
  const row = (tokens: number, tflops: Record<string, number>) => ({
    mask: 'causal',
    tokens,
    head_dim: 128,
    direction: 'forward' as const,
    tflops,
  })
  const rows = [row(4096, { ours: 620, cudnn: 573 }), row(1024, { ours: 400, cudnn: 335.5 })]
  const svg = drawChart(rows, 128, 'NVIDIA H200')

  it('has a line for each kernel that was measured or recorded', () => {
    const lines = [...svg.matchAll(/<path class="line (\w+)" d="M[\d. ]+L/g)].map(([, kernel]) => kernel)
    expect(new Set(lines)).toEqual(new Set(['ours', 'cudnn', 'fa3', 'ffa']))
    expect(svg).toContain('<title>cudnn, 1024 tokens: 335.5 TFLOP/s</title>')
  })

  it('has colours for both schemes', () => {
    expect(svg).toContain('@media (prefers-color-scheme:dark)')
  })

  it('leaves recorded kernels out where their head_dim is another', () => {
    const narrow = drawChart(
      [
        { ...rows[0]!, head_dim: 64 },
        { ...rows[1]!, head_dim: 64 },
      ],
      64,
      'NVIDIA H200',
    )
    expect(narrow).not.toContain('class="dot fa3"')
  })
})
