import { fileURLToPath } from 'node:url'
import { spawnRanks } from '@magi-attention/comm/testing'
import { describe, expect, it } from 'vitest'

const program = fileURLToPath(new URL('./programs/dist-env.ts', import.meta.url))

describe('setup_dist_env', () => {
  it.each([1, 3])('gives each of %i ranks its place and its seed', async worldSize => {
    const env = { NNODES: '1', NPROC_PER_NODE: `${worldSize}` }
    const ranks = await spawnRanks(program, worldSize, { env })
    expect(ranks.map(({ stderr }) => stderr).join('')).toBe('')
    for (const { rank, code, reports } of ranks) {
      expect(code).toBe(0)
      expect(reports[0]).toEqual([rank, rank, worldSize, 1, worldSize, worldSize, 'cpu', 40 + 2 * rank])
    }
    const drawn = ranks.map(({ reports }) => JSON.stringify(reports[1]))
    expect(new Set(drawn).size).toBe(worldSize)
  })
})
