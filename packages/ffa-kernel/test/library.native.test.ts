import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type MagiError,
  NativeLibraryIncompatibleError,
  NativeLibraryNotFoundError,
} from '@magi-attention/common'
import { memory, randn } from '@magi-attention/tensor'
import { libraryFileName } from '@magi-attention/tensor/native'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { flex_flash_attn_func } from '../src/index.js'

const variable = 'MAGI_ATTENTION_FFA_CPU_LIB'
const good = join(import.meta.dirname, '../lib', libraryFileName('magi_ffa_cpu'))
const folder = mkdtempSync(join(tmpdir(), 'magi-ffa-'))

const attend = () => {
  const [q, k, v] = [randn(4, 2, 8), randn(4, 2, 8), randn(4, 2, 8)]
  return flex_flash_attn_func({ q, k, v, q_ranges: [[0, 4]], k_ranges: [[0, 4]] })[0]
}

function failureWith(path: string): MagiError {
  process.env[variable] = path
  try {
    attend()
  } catch (error) {
    return error as MagiError
  }
  return expect.unreachable(`${path} was used`)
}

/** Compiles a library that exports these C functions. */
function compile(name: string, code: string): string {
  const source = join(folder, `${name}.c`)
  const library = join(folder, libraryFileName(name))
  writeFileSync(source, code)
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source])
  return library
}

// The library is loaded once for a process: the one that works comes last.
describe('the kernel library', () => {
  afterEach(() => {
    delete process.env[variable]
  })
  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  it('is refused when it is missing', () => {
    const error = failureWith(join(folder, 'nothing.so'))
    expect(error).toBeInstanceOf(NativeLibraryNotFoundError)
    expect(error.message).toContain('nothing.so')
    expect(error.message).toContain(variable)
  })

  it('leaves no results behind when it is refused', () => {
    const [q, k, v] = [randn(4, 2, 8), randn(4, 2, 8), randn(4, 2, 8)]
    const before = memory()
    process.env[variable] = join(folder, 'nothing.so')
    const attention = { q, k, v, q_ranges: [[0, 4]], k_ranges: [[0, 4]] }
    expect(() => flex_flash_attn_func({ ...attention, return_max_logits: true })).toThrow(variable)
    expect(memory().tensors).toBe(before.tensors)
    expect(memory().bytes).toBe(before.bytes)
  })

  it.each([0, 20, 64, 1000, 100_000, -1])('is refused when it is cut at byte %i', size => {
    const path = join(folder, `cut${size}.so`)
    copyFileSync(good, path)
    truncateSync(path, size < 0 ? readFileSync(good).length + size : size)
    expect(failureWith(path)).toBeInstanceOf(NativeLibraryIncompatibleError)
  })

  it('is refused when it is a text file', () => {
    const path = join(folder, 'text.so')
    writeFileSync(path, 'no library\n'.repeat(1000))
    expect(failureWith(path)).toBeInstanceOf(NativeLibraryIncompatibleError)
  })

  it('is refused when it has another ABI version', () => {
    const error = failureWith(compile('future', 'int magi_ffa_abi_version(void) { return 99; }'))
    expect(error).toBeInstanceOf(NativeLibraryIncompatibleError)
    expect(error.message).toContain('ABI version 99')
  })

  it('is refused when its structs have other sizes', () => {
    const sizes = ['plan', 'forward_args', 'backward_args', 'tile_sizes']
    const functions = sizes.map(name => `long long magi_ffa_sizeof_${name}(void) { return 8; }`)
    const error = failureWith(
      compile('sizes', ['int magi_ffa_abi_version(void) { return 2; }', ...functions].join('\n')),
    )
    expect(error).toBeInstanceOf(NativeLibraryIncompatibleError)
    expect(error.message).toContain('MagiFfaPlan has 8 bytes')
  })

  it('is refused when functions are missing', () => {
    const error = failureWith(compile('empty', 'int magi_ffa_abi_version(void) { return 2; }'))
    expect(error).toBeInstanceOf(NativeLibraryIncompatibleError)
    expect(error.message).toContain('magi_ffa_sizeof_plan')
  })

  it('works after all of that', () => {
    expect(attend().shape).toEqual([4, 2, 8])
  })
})
