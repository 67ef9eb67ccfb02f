import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'

/**
 * Median seconds of each candidate. They run in turns, so that whatever else the machine does slows all of them alike; the first
 * round warms up and does not count.
 */
export function medianSeconds(candidates: readonly (() => void)[], rounds: number): number[] {
  const seconds: number[][] = candidates.map(() => [])
  for (let round = 0; round <= rounds; round++) {
    candidates.forEach((run, index) => {
      const start = process.hrtime.bigint()
      run()
      const elapsed = Number(process.hrtime.bigint() - start) / 1e9
      if (round > 0) seconds[index]!.push(elapsed)
    })
  }
  return seconds.map(median)
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Writes `benchmarks/results/<name>.json` with what a reader needs to place the numbers. */
export function saveResults(name: string, facts: Record<string, unknown>): void {
  const folder = join(import.meta.dirname, 'results')
  mkdirSync(folder, { recursive: true })
  const processors = cpus()
  const report = {
    date: new Date().toISOString().slice(0, 10),
    commit: git('rev-parse', '--short', 'HEAD'),
    uncommitted: git('status', '--porcelain') !== '',
    machine: { processor: processors[0]?.model, cores: processors.length },
    node: process.version,
    ...facts,
  }
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(report, null, 2)}\n`)
  console.log(`\nwritten: benchmarks/results/${name}.json`)
}

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { encoding: 'utf8', cwd: import.meta.dirname }).trim()
  } catch {
    return 'unknown'
  }
}
