import { ArgumentError, DeviceError } from '@magi-attention/common'
import { cuda, tensor, zeros } from '@magi-attention/tensor'
import { describe, expect, it } from 'vitest'
import { runProgram } from './run-program.js'

/** Runs a program that has no GPU, whatever this machine has. Its last line is JSON. */
function runWithoutGpu(env: Record<string, string> = {}) {
  const { stdout, stderr, status } = runProgram('without-gpu.ts', { CUDA_VISIBLE_DEVICES: '', ...env })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return JSON.parse(stdout)
}

const refusals = {
  isAvailable: false,
  deviceCount: 0,
  errors: ['zeros', 'to', 'randn', 'Stream', 'synchronize', 'pin_memory', 'from_typed_array'].map(name => ({
    name,
    code: 'ERR_DEVICE',
    hasHint: true,
  })),
  liveBytes: 8,
}

describe('without a GPU', () => {
  it('there are no devices, and each use of one is a DeviceError that says why', () => {
    expect(runWithoutGpu()).toEqual(refusals)
  })

  it('the same holds without the CUDA library', () => {
    const missing = { MAGI_ATTENTION_TENSOR_CUDA_LIB: '/no/such/library.so' }
    expect(runWithoutGpu(missing)).toEqual(refusals)
  })
})

describe('on any machine', () => {
  it('devices beyond the GPUs there are refused', () => {
    expect(() => zeros([1], { device: 'cuda:999' })).toThrow(DeviceError)
    expect(() => cuda.synchronize('cuda:999')).toThrow(DeviceError)
    expect(() => cuda.synchronize('cpu')).toThrow(DeviceError)
    expect(() => cuda.synchronize(-1)).toThrow(DeviceError)
    expect(() => cuda.set_stream(0 as unknown as cuda.Stream)).toThrow(ArgumentError)
  })

  it('an event is measured against another event', () => {
    const start = new cuda.Event({ enable_timing: true })
    expect(() => start.elapsed_time({} as cuda.Event)).toThrow(ArgumentError)
    expect(() => start.elapsed_time(new cuda.Event())).toThrow(/recorded/)
  })

  it('CPU tensors are not pinned unless asked for', () => {
    expect(tensor([1]).is_pinned()).toBe(false)
  })
})
