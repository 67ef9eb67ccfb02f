/** `npm run bench -- [name …] [--help]`: runs benchmarks by name, or all of them. */
import { attentionCpu } from './ffa-cpu.js'
import { planning } from './tile-plan.js'

const benchmarks = [attentionCpu, planning]

const names = process.argv.slice(2)
if (names.includes('--help') || names.includes('-h')) {
  console.log('Usage: npm run bench -- [name …]\n')
  for (const { name, summary } of benchmarks) console.log(`  ${name.padEnd(12)} ${summary}`)
  process.exit(0)
}
const unknown = names.filter(name => !benchmarks.some(benchmark => benchmark.name === name))
if (unknown.length > 0) {
  console.error(`Unknown benchmark ${unknown.join(', ')}. Run with --help for the list.`)
  process.exit(2)
}
for (const benchmark of benchmarks) {
  if (names.length === 0 || names.includes(benchmark.name)) await benchmark.run()
}
