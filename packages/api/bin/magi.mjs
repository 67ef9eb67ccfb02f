#!/usr/bin/env node
/** The command `magi`: `magi --help`. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// In the repository packages need not be built: another process runs the sources through tsx.
if (existsSync(new URL('../../../pnpm-workspace.yaml', import.meta.url))) {
  const source = fileURLToPath(new URL('../src/cli.ts', import.meta.url))
  const options = ['--conditions=@magi-attention/source', '--import', import.meta.resolve('tsx')]
  const { status } = spawnSync(process.execPath, [...options, source, ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  process.exitCode = status ?? 1
} else {
  await import('../dist/cli.js')
}
