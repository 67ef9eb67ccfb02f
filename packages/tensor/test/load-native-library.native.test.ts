import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  InternalError,
  NativeLibraryIncompatibleError,
  NativeLibraryNotFoundError,
} from '@magi-attention/common'
import {
  findPackageDir,
  libraryFileName,
  loadNativeLibrary,
  messageBuffer,
  type NativeLibraryOptions,
} from '@magi-attention/tensor/native'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

const packageDir = findPackageDir(import.meta.dirname)
const env = 'MAGI_ATTENTION_TEST_LIB'
const options: NativeLibraryOptions = {
  name: 'magi_tensor_cpu',
  env,
  packageDir,
  platformPackage: '@magi-attention/no-such-platform',
  abiVersion: 1,
  abiVersionSymbol: 'magi_tensor_abi_version',
  buildCommand: 'npm run build',
}
const builtLibrary = join(packageDir, 'lib', libraryFileName('magi_tensor_cpu'))

let folder: string
let fakeLibrary: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'magi-native-'))
  const source = join(folder, 'fake.c')
  fakeLibrary = join(folder, libraryFileName('fake'))
  writeFileSync(
    source,
    'int magi_fake_abi_version(void) { return 7; }\nint answer(int x) { return x + 1; }\n',
  )
  execFileSync(process.env.CC ?? 'cc', ['-shared', '-fPIC', '-o', fakeLibrary, source])
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => {
  delete process.env[env]
})

const fakeOptions = { ...options, abiVersion: 7, abiVersionSymbol: 'magi_fake_abi_version' }

function writeFile(name: string, content: Uint8Array | string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

function loadOverride(path: string, given: NativeLibraryOptions = options) {
  process.env[env] = path
  return loadNativeLibrary(given)
}

describe('loadNativeLibrary', () => {
  it('finds the local build', () => {
    expect(loadNativeLibrary(options).path).toBe(builtLibrary)
  })

  it('prefers the override', () => {
    const library = loadOverride(fakeLibrary, fakeOptions)
    expect(library.path).toBe(fakeLibrary)
    expect(library.func('answer', 'i32', ['i32'])(41)).toBe(42)
  })

  it('takes the platform package when there is no local build', () => {
    const dir = join(folder, 'consumer')
    const platform = join(dir, 'node_modules', '@magi-attention', 'platform')
    mkdirSync(platform, { recursive: true })
    writeFileSync(join(dir, 'package.json'), '{}')
    writeFileSync(join(platform, 'package.json'), '{"name":"@magi-attention/platform","version":"0.0.0"}')
    const target = join(platform, libraryFileName('fake'))
    copyFileSync(fakeLibrary, target)
    const found = {
      ...fakeOptions,
      name: 'fake',
      packageDir: dir,
      platformPackage: '@magi-attention/platform',
    }
    expect(loadNativeLibrary(found).path).toBe(target)
  })

  it('lists what was tried and the command that builds it', () => {
    const missing = { ...options, name: 'magi_missing' }
    expect(() => loadNativeLibrary(missing)).toThrow(NativeLibraryNotFoundError)
    expect(() => loadNativeLibrary(missing)).toThrow(
      new RegExp(`${env}.*libmagi_missing.*no-such-platform.*npm run build`),
    )
  })

  it('does not fall through an override that is missing or unusable', () => {
    expect(() => loadOverride(join(folder, 'nowhere.so'))).toThrow(NativeLibraryNotFoundError)
    expect(() => loadOverride(folder)).toThrow(NativeLibraryIncompatibleError)
    expect(() => loadOverride(writeFile('empty.so', ''))).toThrow(/only 0 bytes/)
    expect(() =>
      loadOverride(writeFile('text.so', 'no library at all, just some text\n'.repeat(10))),
    ).toThrow(NativeLibraryIncompatibleError)
  })

  it('names the file and the remedy', () => {
    const path = writeFile('named.so', 'x'.repeat(100))
    expect(() => loadOverride(path)).toThrow(new RegExp(`named\\.so.*Correct or unset ${env}`))
  })

  it('refuses another ABI version before anything else is called, and a library without one', () => {
    expect(() => loadOverride(fakeLibrary, { ...fakeOptions, abiVersion: 8 })).toThrow(
      /ABI version 7, this package needs 8/,
    )
    expect(() => loadOverride(fakeLibrary)).toThrow(/does not export magi_tensor_abi_version/)
  })

  it('refuses a function that the library does not export', () => {
    expect(() => loadNativeLibrary(options).func('magi_tensor_nothing', 'i32', [])).toThrow(
      NativeLibraryIncompatibleError,
    )
  })

  it.runIf(process.platform === 'linux')('refuses libraries of other machines', () => {
    const patched = (name: string, offset: number, value: number) => {
      const bytes = readFileSync(builtLibrary)
      bytes[offset] = value
      return writeFile(name, bytes)
    }
    expect(() => loadOverride(patched('32bit.so', 4, 1))).toThrow(/not a 64-bit/)
    expect(() => loadOverride(patched('big.so', 5, 2))).toThrow(/not a little-endian/)
    expect(() => loadOverride(patched('program.so', 16, 2))).toThrow(/not a shared library/)
    expect(() => loadOverride(patched('machine.so', 18, 8))).toThrow(/another machine/)
  })

  it('survives libraries cut at any size', () => {
    const whole = readFileSync(builtLibrary)
    const sizes = [1, 63, 64, 65, 100, 500, 4095, 4096, 4097]
    for (let i = 1; i < 24; i++) sizes.push(Math.floor((whole.length * i) / 24))
    sizes.push(whole.length - 4096, whole.length - 64, whole.length - 1)
    const paths = sizes.map(size => writeFile(`cut-${size}.so`, whole.subarray(0, size)))
    // In a process of its own, since what is tested is that it does not die.
    const script = `
      import { loadNativeLibrary } from '@magi-attention/tensor/native'
      const [options, paths] = JSON.parse(process.env.MAGI_TEST_INPUT)
      for (const path of paths) {
        process.env[options.env] = path
        try {
          loadNativeLibrary(options)
          console.log('loaded')
        } catch (error) {
          console.log(error.name)
        }
      }`
    const child = spawnSync(
      process.execPath,
      ['--conditions=@magi-attention/source', '--import', 'tsx', '--input-type=module', '-e', script],
      {
        cwd: packageDir,
        env: { ...process.env, MAGI_TEST_INPUT: JSON.stringify([options, paths]) },
        encoding: 'utf8',
      },
    )
    expect(child.stderr).toBe('')
    expect(child.status).toBe(0)
    expect(child.stdout.trim().split('\n')).toEqual(sizes.map(() => 'NativeLibraryIncompatibleError'))
  })
})

describe('MAGI_ATTENTION_TENSOR_CPU_LIB', () => {
  it('replaces the library of the tensors, and is not ignored if it cannot be used', () => {
    const script = `
      import { ones } from '@magi-attention/tensor'
      try {
        console.log(ones(2).tolist().join())
      } catch (error) {
        console.log(error.name)
      }`
    const run = (library: string) =>
      spawnSync(
        process.execPath,
        ['--conditions=@magi-attention/source', '--import', 'tsx', '--input-type=module', '-e', script],
        {
          cwd: packageDir,
          env: { ...process.env, MAGI_ATTENTION_TENSOR_CPU_LIB: library },
          encoding: 'utf8',
        },
      ).stdout.trim()
    const copy = writeFile(libraryFileName('copy'), readFileSync(builtLibrary))
    expect(run(copy)).toBe('1,1')
    expect(run(join(folder, 'nowhere.so'))).toBe('NativeLibraryNotFoundError')
    expect(run(fakeLibrary)).toBe('NativeLibraryIncompatibleError')
  })
})

describe('NativeLibrary.func', () => {
  it('checks every argument before the call', () => {
    const fill = loadNativeLibrary(options).func('magi_tensor_fill', 'i32', [
      ...(['ptr', 'i64', 'i32', 'f64', 'i32', 'ptr', 'i32'] as const),
    ])
    const out = new Float32Array(4)
    expect(fill(out, 4, 0, 2.5, 1, messageBuffer, messageBuffer.length)).toBe(0)
    expect(Array.from(out)).toEqual([2.5, 2.5, 2.5, 2.5])
    const wrong: unknown[][] = [
      ['memory', 4, 0, 1, 1, null, 0],
      [undefined, 4, 0, 1, 1, null, 0],
      [[1, 2], 4, 0, 1, 1, null, 0],
      [out, 1.5, 0, 1, 1, null, 0],
      [out, Number.NaN, 0, 1, 1, null, 0],
      [out, '4', 0, 1, 1, null, 0],
      [out, 4, 2 ** 31, 1, 1, null, 0],
      [out, 4, 0, '1', 1, null, 0],
      [out, 4, 0, 1, 1, null],
    ]
    for (const args of wrong) {
      expect(() => (fill as (...args: unknown[]) => number)(...args)).toThrow(InternalError)
    }
  })
})
