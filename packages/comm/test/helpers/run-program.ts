import { fileURLToPath } from 'node:url'
import { type RankResult, type SpawnOptions, spawnRanks } from '@magi-attention/comm/testing'
import { expect } from 'vitest'

/** Runs one of `test/programs` on some ranks. */
export function runProgram(name: string, worldSize: number, options?: SpawnOptions): Promise<RankResult[]> {
  const script = fileURLToPath(new URL(`../programs/${name}.ts`, import.meta.url))
  return spawnRanks(script, worldSize, options)
}

/** All ranks ended well; otherwise shows what they said. */
export function expectSuccess(results: readonly RankResult[]): void {
  const failed = results.filter(({ code }) => code !== 0)
  const text = failed.map(({ rank, code, signal, stderr }) => `rank ${rank} (${code ?? signal}): ${stderr}`)
  expect(text.join('\n')).toBe('')
}
