import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spawnRanks } from '@magi-attention/comm/testing'
import { expect } from 'vitest'

/** Runs a program of `test/programs` on so many ranks, and expects every rank to end well. */
export async function runProgram(name: string, worldSize: number, data: unknown = null): Promise<void> {
  const script = fileURLToPath(new URL(`../programs/${name}.ts`, import.meta.url))
  const folder = mkdtempSync(join(tmpdir(), 'magi-dist-attn-'))
  try {
    const file = join(folder, 'data.json')
    writeFileSync(file, JSON.stringify(data))
    const env = { MAGI_ATTENTION_NUM_THREADS: '1' }
    const ranks = await spawnRanks(script, worldSize, { args: [file], env, timeoutSeconds: 100 })
    const failed = ranks.filter(({ code }) => code !== 0)
    const text = failed.map(({ rank, code, signal, stderr }) => `rank ${rank}, ${code ?? signal}: ${stderr}`)
    expect(text).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
}
