import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeviceError, OutOfMemoryError } from '@magi-attention/common'
import { cuda, from_typed_array, zeros } from '@magi-attention/tensor'
import { libraryFileName } from '@magi-attention/tensor/native'
import koffi from 'koffi'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'

const variable = 'MAGI_ATTENTION_TENSOR_CUDA_LIB'
const folder = mkdtempSync(join(tmpdir(), 'magi-cuda-'))
const takeRecord = loadRecorder()
const device = 'cuda:0'

/** Puts a library that computes nothing in the place of the CUDA library, for this file. Returns what it was asked for since. */
function loadRecorder(): () => string[] {
  const library = join(folder, libraryFileName('recording_cuda'))
  const source = join(import.meta.dirname, 'programs/recording-cuda.c')
  const includes = join(import.meta.dirname, '../native/include')
  execFileSync('cc', ['-shared', '-fPIC', `-I${includes}`, '-o', library, source])
  process.env[variable] = library
  const take = koffi.load(library).func('take_record', 'const char *', [])
  return () => take().split('\n').slice(0, -1)
}

function failSums(count: number): void {
  koffi.load(process.env[variable]!).func('fail_sums', 'void', ['int32_t'])(count)
}

describe('what the host asks of GPUs', () => {
  beforeEach(() => {
    cuda.empty_cache()
    takeRecord()
  })
  afterAll(() => {
    delete process.env[variable]
    rmSync(folder, { recursive: true })
  })

  it('is memory for the first small tensor, and nothing for the next of its size', () => {
    for (let i = 0; i < 3; i++) zeros([1000], { device }).dispose()
    expect(takeRecord()).toEqual(['allocate 4096 on 0.0'])
    zeros([2 ** 23], { device }).dispose()
    zeros([2 ** 23], { device }).dispose()
    expect(takeRecord()).toEqual([
      'allocate 33554432 on 0.0',
      'free on 0.0',
      'allocate 33554432 on 0.0',
      'free on 0.0',
    ])
  })

  it('is to wait for streams that worked on memory before it is used again', () => {
    const side = new cuda.Stream()
    const x = zeros([1000], { device })
    cuda.stream(side, () => x.mul(2).dispose())
    const name = `0.${side.cuda_stream}`
    takeRecord()
    x.dispose()
    expect(takeRecord()).toEqual([`event on ${name}`, '0.0 waits'])
    side.dispose()
  })

  it('is to order a copy between GPUs on both of them', () => {
    using x = zeros([1000], { device })
    takeRecord()
    x.to('cuda:1').dispose()
    const before = ['event on 0.0', '1.0 waits']
    const after = ['event on 1.0', '0.0 waits']
    expect(takeRecord().slice(1)).toEqual([...before, 'copy from 0 on 1.0', ...after])
  })

  it('is to wait where the program may write what is still read', () => {
    const pinned = zeros(1000).pin_memory()
    const view = from_typed_array(pinned.typed_array(), [1000])
    const upload = (x: typeof view, non_blocking: boolean) => {
      x.to({ device, non_blocking }).dispose()
      return takeRecord().filter(line => !line.startsWith('allocate'))
    }
    const wait = 'synchronize 0.0'
    expect(upload(pinned, false)).toEqual(['copy on 0.0', wait])
    expect(upload(view, false)).toEqual(['copy on 0.0', wait])
    expect(upload(zeros(1000), false)).toEqual(['copy on 0.0'])
    expect(upload(pinned, true)).toEqual(['copy on 0.0'])
    pinned.dispose()
    expect(takeRecord()).toEqual([wait])
  })

  it('never concerns a stream that was destroyed', () => {
    const [first, second] = [new cuda.Stream(), new cuda.Stream()]
    cuda.set_stream(first)
    cuda.stream(second, () => first.dispose())
    expect(cuda.current_stream().cuda_stream).toBe(0n)
    second.dispose()
  })

  it('is asked again without what is kept for reuse if an operation finds too little memory', () => {
    zeros([1000], { device }).dispose()
    using x = zeros([10], { device })
    takeRecord()
    failSums(1)
    x.sum().dispose()
    expect(takeRecord().slice(-4)).toEqual(['sum', 'free on 0.0', 'trim 0', 'sum'])
    failSums(2)
    expect(() => x.sum()).toThrow(OutOfMemoryError)
    x.sum().dispose()
  })

  it('leaves GPUs alone that are too old, or not used', () => {
    expect(cuda.is_available()).toBe(true)
    expect(cuda.device_count()).toBe(3)
    expect(() => zeros([1], { device: 'cuda:2' })).toThrow(DeviceError)
    zeros([1], { device: 'cuda:1' }).dispose()
    takeRecord()
    cuda.empty_cache()
    expect(takeRecord().filter(line => line.startsWith('trim'))).toEqual(['trim 0', 'trim 1'])
  })
})
