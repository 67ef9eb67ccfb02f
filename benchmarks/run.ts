/** `npm run bench -- [name …] [--help]`: runs benchmarks by name, or all of them. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** Each is a program of its own, `<name>.ts`, so that none starts with another's memory or settings. */
const benchmarks: Record<string, string> = {
  'ffa-cpu':
    'attention on the CPU: rates against OpenBLAS, masks against the full one, threads, call overhead',
  'tile-plan': 'planning a mask: building a tile plan, and finding it in the cache',
  'dispatch-locality': 'what each dispatch algorithm makes ranks receive',
  'dispatch-solver': 'the static solver: one rank of 64 and of 1,024, and how its time grows',
  comm: 'collectives of the shm backend against memcpy',
  'dist-attn': 'attention on 4 ranks: balance of the work, bytes that travel, time by overlap degree',
  'ffa-overhead': 'attention on a GPU: time of the host per call, beyond the launch',
  'ffa-chart': 'draws the GPU results that ffa/run.py (Python) left in results/',
}

const names = process.argv.slice(2)
if (names.includes('--help') || names.includes('-h')) {
  console.log('Usage: npm run bench -- [name …]\n')
  for (const [name, summary] of Object.entries(benchmarks)) console.log(`  ${name.padEnd(18)} ${summary}`)
  process.exit(0)
}
const unknown = names.filter(name => !(name in benchmarks))
if (unknown.length > 0) {
  console.error(`Unknown benchmark ${unknown.join(', ')}. Run with --help for the list.`)
  process.exit(2)
}
for (const name of names.length > 0 ? names : Object.keys(benchmarks)) {
  const args = [...process.execArgv, join(import.meta.dirname, `${name}.ts`)]
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
