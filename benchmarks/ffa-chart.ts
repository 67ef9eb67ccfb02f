/**
 * Draws the results of `benchmarks/ffa/run.py`: `npm run bench -- ffa-chart`, or by hand
 * `ffa-chart.ts results.json chart.svg [head_dim]`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { drawChart } from './chart/chart.js'

const [
  input = join(import.meta.dirname, 'results/ffa-h200.json'),
  output = join(import.meta.dirname, '../docs/images/ffa-h200.svg'),
  headDim = '128',
] = process.argv.slice(2)
if (existsSync(input)) {
  const { runs, rows } = JSON.parse(readFileSync(input, 'utf8'))
  writeFileSync(output, drawChart(rows, Number(headDim), runs[0].gpu))
  console.log(`written: ${output}`)
} else {
  console.log(`Nothing to draw: there is no ${input}. benchmarks/README.md says how to measure on a GPU.`)
}
