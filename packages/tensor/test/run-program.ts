import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** Runs one of the programs beside this file in a process of its own. */
export function runProgram(name: string, env: Record<string, string> = {}): SpawnSyncReturns<string> {
  const program = `packages/tensor/test/programs/${name}`
  return spawnSync(process.execPath, ['--conditions=@magi-attention/source', '--import', 'tsx', program], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
}
