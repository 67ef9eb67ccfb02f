import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { root } from './workspace.js'

describe('examples/ffa-quickstart', () => {
  it('runs, stays close to the reference and says so', () => {
    const args = ['--conditions=@magi-attention/source', '--import', 'tsx', 'examples/ffa-quickstart/main.ts']
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(stdout).toContain('2048 tokens, 8 query and 2 key/value heads of 128, bfloat16')
    expect(stdout).toMatch(/^out +\[2048, 8, 128\] +bfloat16 +\d/m)
    expect(stdout).toMatch(/^lse +\[2048, 8\] +float32 +\d/m)
    expect(stdout).toMatch(/^dk +\[2048, 2, 128\] +bfloat16 +\d/m)
    expect(stdout).toMatch(/^dsink +\[4, 8\] +float32 /m)
  })
})

describe.skipIf(process.platform !== 'linux')('examples/magi-quickstart', () => {
  it('gives on 4 ranks what it gives on one, and says so', () => {
    const args = ['packages/utils/bin/magirun.mjs', '--nproc-per-node', '4', 'examples/magi-quickstart']
    const { stdout, status } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
    expect(status).toBe(0)
    expect(stdout).toMatch(/^\[rank 0\] 2048 tokens on 4 ranks/m)
    for (const name of ['out', 'lse', 'dx', 'dq_proj', 'dk_proj', 'dv_proj', 'dsink']) {
      expect(stdout).toMatch(new RegExp(`^\\[rank 0\\] ${name} +\\[`, 'm'))
    }
  })
})
