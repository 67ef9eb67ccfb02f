import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { read, root } from './workspace.js'

const emptyFolder = mkdtempSync(join(tmpdir(), 'magi-path-'))

afterAll(() => {
  rmSync(emptyFolder, { recursive: true })
})

function runScript(args: string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, [join(root, 'scripts/run.mjs'), ...args], {
    cwd: tmpdir(),
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
}

describe('scripts/run.mjs', () => {
  it('lists every command of package.json', () => {
    const { stdout, status } = runScript(['--help'])
    expect(status).toBe(0)
    for (const command of Object.keys(JSON.parse(read('package.json')).scripts)) {
      expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
    }
  })

  it('refuses an unknown command with the list', () => {
    const { stderr, stdout, status } = runScript(['quikstart'])
    expect(status).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain('There is no command "quikstart".')
    expect(stderr).toContain('quickstart')
  })

  it('names the Node that it needs when this one is too old', () => {
    const pretend = 'Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.18.3"}})'
    const args = ['--import', `data:text/javascript,${pretend}`, join(root, 'scripts/run.mjs'), 'test']
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect(status).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^magi-attention needs Node 20\.19 or newer/)
  })

  it('says what to install when there is no CMake and no compiler', () => {
    symlinkSync(process.execPath, join(emptyFolder, 'node'))
    const { stderr, status } = runScript(['build:native'], { PATH: emptyFolder, CXX: '' })
    expect(status).toBe(1)
    expect(stderr).toContain('this machine lacks CMake 3.18 or newer')
    expect(stderr).toContain('apt-get install cmake g++')
    expect(stderr).not.toContain('    at ')
  })
})
