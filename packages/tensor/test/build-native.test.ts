import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findPackageDir } from '@magi-attention/tensor/native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const script = join(findPackageDir(import.meta.dirname), 'bin', 'build-native.mjs')
const cmakeLists = `
cmake_minimum_required(VERSION 3.18)
project(sample LANGUAGES CXX)
add_library(sample SHARED sample.cpp)
target_include_directories(sample PRIVATE \${MAGI_TENSOR_INCLUDE})
install(TARGETS sample LIBRARY DESTINATION . RUNTIME DESTINATION .)
`

let project: string
let packageDir: string

function build(args: string[], env: NodeJS.ProcessEnv = process.env) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
    cwd: project,
    env,
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'magi-build-'))
  packageDir = join(project, 'node_modules', '@sample', 'native')
  mkdirSync(join(packageDir, 'native'), { recursive: true })
  writeFileSync(join(packageDir, 'package.json'), '{"name":"@sample/native","version":"0.0.0"}')
})
afterAll(() => rmSync(project, { recursive: true, force: true }))

describe('magi-build-native', () => {
  it('names what is wrong with its arguments', () => {
    expect(build(['no-such-package'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('no-such-package'),
    })
    expect(build(['a', 'b'])).toMatchObject({ status: 1, stderr: expect.stringContaining('one package') })
    expect(build(['--fast'])).toMatchObject({ status: 1, stderr: expect.stringContaining('--fast') })
    expect(build(['@sample/native'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('CMakeLists.txt'),
    })
  })

  it('builds a package by name into its lib/, with the headers of the tensor package', () => {
    writeFileSync(join(packageDir, 'native', 'CMakeLists.txt'), cmakeLists)
    writeFileSync(
      join(packageDir, 'native', 'sample.cpp'),
      '#include <magi/abi.h>\nint sample() { return MAGI_INT64; }\n',
    )
    expect(build(['@sample/native'])).toMatchObject({ status: 0, stderr: '' })
    expect(readdirSync(join(packageDir, 'lib'))).toHaveLength(1)
  })

  it('builds again after the package has moved', () => {
    const moved = join(project, 'moved')
    renameSync(packageDir, moved)
    rmSync(join(moved, 'lib'), { recursive: true })
    expect(build([moved]).status).toBe(0)
    expect(existsSync(join(moved, 'lib'))).toBe(true)
    renameSync(moved, packageDir)
  })

  it('tells what to install when cmake is missing', () => {
    const result = build(['@sample/native'], { PATH: '' })
    expect(result).toMatchObject({ status: 1, stderr: expect.stringContaining('Install CMake') })
  })

  it('fails when the source does not compile', () => {
    writeFileSync(join(packageDir, 'native', 'sample.cpp'), 'this is no C++\n')
    expect(build(['@sample/native'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('Compiling'),
    })
  })
})
