import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { Report } from '../src/cli/inspect.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

function magi(args: string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, ['packages/api/bin/magi.mjs', ...args], {
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
    const built = ['magi_tensor_cpu', 'magi_ffa_cpu', 'magi_comm_shm']
    const optional = ['magi_tensor_cuda', 'magi_ffa_cuda', 'magi_comm_mpi']
    expect(report.libraries.map(({ name }) => name)).toEqual([...built, ...optional])
    for (const { name, isa, path, problem } of report.libraries) {
      if (built.includes(name)) expect(problem).toBeNull()
      if (problem !== null) continue
      if (/^magi_(tensor|ffa)_cpu$/.test(name)) expect(isa).toMatch(/^(portable|avx2|avx512|avx512-bf16)$/)
      else if (name === 'magi_ffa_cuda') expect(isa).toMatch(/^sm80(, sm90)?$/)
      else expect(isa).toBeNull()
      expect(path).toMatch(/[/\\]lib[/\\]/)
    }
    expect(report.backends[0]).toBe('cpu')
    expect(Object.keys(report.systemLibraries)).toEqual(['nccl', 'mpi'])
  })

  it('tells why there is no GPU', () => {
    const { stdout, status } = magi(['inspect'], {
      CUDA_VISIBLE_DEVICES: '',
      MAGI_ATTENTION_CUBLAS_LIB: join(tmpdir(), 'no-such-cublas.so'),
    })
    expect(status).toBe(0)
    expect(stdout).toMatch(/^cuda +\S.*, driver /m)
    expect(stdout).toMatch(/^cublas +\S/m)
    expect(stdout).toMatch(/^backends +cpu$/m)
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
