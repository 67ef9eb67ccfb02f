import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../bin/magirun.mjs', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'magirun-'))

afterAll(() => {
  rmSync(folder, { recursive: true })
})

function write(name: string, code: string): string {
  const path = join(folder, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, code)
  return path
}

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8' })
  return { status, stdout, stderr, lines: stdout.trimEnd().split('\n').sort() }
}

async function firstLine(launcher: ChildProcess): Promise<string> {
  const [text] = (await once(launcher.stdout!.setEncoding('utf8'), 'data')) as [string]
  return text
}

describe('magirun', () => {
  it('tells every rank its place, and prefixes its lines', () => {
    const names = ['RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'NNODES', 'NPROC_PER_NODE', 'MASTER_ADDR']
    const script = write(
      'place.mjs',
      `const e = process.env
      console.log(${JSON.stringify(names)}.map(name => e[name]).join(' '), process.argv.slice(2).join(' '))
      console.error('port', e.MASTER_PORT === e.MASTER_PORT * 1 + '')`,
    )
    const { status, lines, stderr } = run('--nproc-per-node', '3', script, '--a', 'b')
    expect(status).toBe(0)
    expect(lines).toEqual([0, 1, 2].map(rank => `[rank ${rank}] ${rank} ${rank} 3 1 3 127.0.0.1 --a b`))
    expect(stderr.split('\n').sort().join(' ')).toContain('[rank 1] port true')
  })

  it('counts ranks over machines', () => {
    const script = write(
      'rank.mjs',
      'console.log(process.env.RANK, process.env.WORLD_SIZE, process.env.MASTER_PORT)',
    )
    const machine = ['--nnodes', '3', '--node-rank', '2', '--master-addr', 'host', '--master-port', '4711']
    expect(run(...machine, '--nproc-per-node', '2', script).lines).toEqual([
      '[rank 4] 4 6 4711',
      '[rank 5] 5 6 4711',
    ])
  })

  it('keeps lines whole, also one without an end', () => {
    const script = write(
      'parts.mjs',
      `process.stdout.write('a'); setTimeout(() => process.stdout.write('b\\n\\nc'), 50)`,
    )
    expect(run(script).stdout).toBe('[rank 0] ab\n[rank 0] \n[rank 0] c\n')
  })

  it('ends all ranks when one fails, and returns its code', () => {
    const script = write(
      'fail.mjs',
      `process.env.RANK === '1' ? process.exit(7) : setInterval(() => {}, 1000)`,
    )
    const { status, stderr } = run('--nproc-per-node', '3', script)
    expect(status).toBe(7)
    expect(stderr).toBe('magirun: rank 1 ended with code 7; ending the others\n')
  })

  it('makes an end of ranks that a signal does not end, and tells of a rank that one ended', () => {
    const script = write(
      'stubborn.mjs',
      `process.on('SIGTERM', () => {})
      setInterval(() => {}, 1000)
      if (process.env.RANK === '0') setTimeout(() => process.kill(process.pid, 'SIGKILL'), 300)`,
    )
    const { status, stderr } = run('--nproc-per-node', '2', script)
    expect(status).toBe(128 + 9)
    expect(stderr).toContain('rank 0 was ended by SIGKILL')
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('passes %s on', async signal => {
    const script = write(
      'signal.mjs',
      `process.on('${signal}', () => { console.log('got it'); process.exit(5) })
      setInterval(() => {}, 1000)
      console.log('ready')`,
    )
    const launcher = spawn(process.execPath, [bin, script], { stdio: ['ignore', 'pipe', 'inherit'] })
    expect(await firstLine(launcher)).toBe('[rank 0] ready\n')
    const answer = firstLine(launcher)
    launcher.kill(signal)
    expect(await answer).toBe('[rank 0] got it\n')
    expect(await once(launcher, 'close')).toEqual([5, null])
  })

  it('runs the program of a folder, by its manifest or by name', () => {
    write('by-manifest/start.mjs', 'console.log(1)')
    write('by-manifest/package.json', '{ "main": "start.mjs" }')
    write('by-name/main.mjs', 'console.log(2)')
    mkdirSync(join(folder, 'nothing'))
    expect(run(join(folder, 'by-manifest')).stdout).toBe('[rank 0] 1\n')
    expect(run(join(folder, 'by-name')).stdout).toBe('[rank 0] 2\n')
    expect(run(join(folder, 'nothing'))).toMatchObject({ status: 2, stdout: '' })
  })

  it('runs TypeScript', () => {
    const script = write('types.ts', 'const text: string = "typed"; console.log(text)')
    expect(run(script).stdout).toBe('[rank 0] typed\n')
  })

  it('explains itself, and what it does not understand', () => {
    expect(run('--help')).toMatchObject({ status: 0, stderr: '' })
    expect(run('--help').stdout).toContain('--nproc-per-node N')
    const { status, stderr } = run('--ranks', '2', 'a.js')
    expect(status).toBe(2)
    expect(stderr).toMatch(/^magirun: what is --ranks\?\n\nUsage: magirun/)
    expect(run('missing.js').stderr).toMatch(/^magirun: there is no missing\.js/)
  })
})
