import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { Report } from '../src/cli/inspect.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

function magi(args: string[], env: Record<string, string> = {}) {
  const loader = ['--conditions=@magi-attention/source', '--import', 'tsx', 'packages/api/src/cli.ts']
  return spawnSync(process.execPath, [...loader, ...args], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
}

describe('magi inspect', () => {
  it('reports versions, the machine and the libraries as JSON and nothing else', () => {
    const { stdout, stderr, status } = magi(['inspect', '--json'], { MAGI_ATTENTION_NUM_THREADS: '3' })
    expect(stderr).toBe('')
    expect(status).toBe(0)
    const report = JSON.parse(stdout) as Report
    expect(Object.keys(report.packages)).toHaveLength(8)
    expect(report.node).toBe(process.version)
    expect(report.threads).toBe(3)
    expect(report.environment).toMatchObject({ MAGI_ATTENTION_NUM_THREADS: '3' })
    expect(report.libraries.map(({ name, problem }) => [name, problem])).toEqual([
      ['magi_tensor_cpu', null],
      ['magi_ffa_cpu', null],
      ['magi_comm_shm', null],
    ])
    for (const { name, isa, path } of report.libraries) {
      if (name === 'magi_comm_shm') expect(isa).toBeNull()
      else expect(isa).toMatch(/^(portable|avx2|avx512|avx512-bf16)$/)
      expect(path).toMatch(/[/\\]lib[/\\]/)
    }
  })

  it('reports a library that cannot be used instead of failing', () => {
    const missing = join(tmpdir(), 'no-such-library.so')
    const { stdout, status } = magi(['inspect'], { MAGI_ATTENTION_FFA_CPU_LIB: missing })
    expect(status).toBe(0)
    expect(stdout).toMatch(/^magi_ffa_cpu +.*no-such-library\.so/m)
    expect(stdout).toMatch(/^magi_tensor_cpu +\S+, /m)
  })
})

describe('magi', () => {
  it('explains itself', () => {
    expect(magi(['--help']).stdout).toContain('Usage: magi <command>')
    expect(magi([]).status).toBe(0)
  })

  it('refuses what it does not know', () => {
    const { stdout, stderr, status } = magi(['inspekt'])
    expect(status).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain('magi: what is "inspekt"?')
    expect(magi(['inspect', '--jsn']).status).toBe(2)
  })
})
