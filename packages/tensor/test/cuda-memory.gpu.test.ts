import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { DeviceError, OutOfMemoryError } from '@magi-attention/common'
import {
  arange,
  cuda,
  empty,
  from_typed_array,
  memory,
  nn,
  no_grad,
  ones,
  randn,
  tensor,
  tidy,
  zeros,
} from '@magi-attention/tensor'
import { expect, it } from 'vitest'
import { describeOnGpu, isEmulated } from './gpu.js'
import { runProgram } from './run-program.js'

setFlagsFromString('--expose_gc')
const collectGarbage = runInNewContext('gc') as () => void
const device = 'cuda' as const

describeOnGpu('memory of a GPU', () => {
  it('is reused when it was freed, and given back by empty_cache', () => {
    cuda.empty_cache()
    const bytes = 64 << 20
    const first = empty([bytes / 4], { device })
    const address = first.data_ptr()
    expect(cuda.memory_allocated()).toBeGreaterThanOrEqual(bytes)
    first.dispose()
    const reserved = cuda.memory_reserved()
    expect(reserved).toBeGreaterThanOrEqual(bytes)
    for (let i = 0; i < (isEmulated ? 3 : 100); i++) {
      using next = ones([bytes / 4], { device })
      expect(next.data_ptr()).toBe(address)
    }
    expect(cuda.memory_reserved()).toBe(reserved)
    cuda.empty_cache()
    expect(cuda.memory_reserved()).toBeLessThan(bytes)
  })

  it('out of memory is an error after which all goes on', () => {
    const before = memory()
    const [, total] = cuda.mem_get_info()
    for (let i = 0; i < 3; i++) {
      expect(() => empty([total], { device })).toThrow(OutOfMemoryError)
      expect(ones([1000], { device }).sum().item()).toBe(1000)
    }
    // Two blocks that fit one after the other, but not together.
    cuda.empty_cache()
    const [free] = cuda.mem_get_info()
    const most = Math.floor(free * 0.3) // of 2 bytes each
    const large = empty([most], { device, dtype: 'float16' })
    expect(() => empty([most], { device, dtype: 'float16' })).toThrow(OutOfMemoryError)
    large.dispose()
    using again = empty([most], { device, dtype: 'float16' })
    again.narrow(0, most - 8, 8).copy_(ones([8], { device, dtype: 'float16' }))
    expect(again.narrow(0, most - 1, 1).item()).toBe(1)
    expect(memory().bytes - before.bytes).toBeLessThan(2 * most + 100_000)
    again.dispose()
    cuda.empty_cache()
  })

  it('of dropped tensors comes back with the garbage collector', async () => {
    const settle = async () => {
      for (let i = 0; i < 5; i++) {
        collectGarbage()
        await new Promise(resolve => setTimeout(resolve, 5))
      }
    }
    await settle()
    const before = cuda.memory_allocated()
    for (let i = 0; i < 50; i++) randn([1000], { device }).add(1)
    expect(cuda.memory_allocated()).toBeGreaterThan(before)
    await settle()
    expect(cuda.memory_allocated()).toBe(before)
  })

  it('is not left behind by a worker thread that ends', () => {
    const { stdout, stderr } = runProgram('ending-worker.ts')
    expect(stderr).toBe('')
    const { before, meanwhile, after } = JSON.parse(stdout)
    expect(meanwhile).toBeGreaterThanOrEqual(before + (32 << 20))
    expect(after).toBe(before)
  })

  it('is not left behind by training steps', () => {
    const layers = [
      new nn.Linear(8, 16, { device, dtype: 'bfloat16' }),
      new nn.Linear(16, 4, { device, dtype: 'bfloat16' }),
    ]
    const x = randn([5, 8], { device, dtype: 'bfloat16' })
    const step = () =>
      tidy(() => {
        let hidden = x
        for (const layer of layers) hidden = layer.forward(hidden)
        for (const layer of layers) layer.zero_grad()
        hidden.to('float32').sum().backward()
        no_grad(() => {
          for (const layer of layers) for (const p of layer.parameters()) p.copy_(p.sub(p.grad!.mul(0.01)))
        })
      })
    for (let i = 0; i < 3; i++) step()
    const [before, reserved] = [memory(), cuda.memory_reserved()]
    for (let i = 0; i < 500; i++) step()
    expect(memory()).toEqual(before)
    expect(cuda.memory_reserved()).toBe(reserved)
  })

  it('is not shown to JavaScript', () => {
    const x = tensor([1, 2], { device })
    expect(() => x.typed_array()).toThrow(DeviceError)
    expect(x.to_typed_array()).toEqual(Float32Array.of(1, 2))
    expect(x.to_dlpack()).toMatchObject({ device: { type: 2, id: 0 }, ptr: x.data_ptr() })
    expect(String(x)).toBe('Tensor(float32, cuda:0)[2]')
  })

  it('does not mix with other devices', () => {
    const [x, y] = [zeros([2, 2], { device }), zeros([2, 2])]
    for (const use of [() => x.add(y), () => y.matmul(x), () => x.equal(y)]) expect(use).toThrow(DeviceError)
  })
})

describeOnGpu('pinned memory', () => {
  it('goes to the GPU and back, blocking or not', () => {
    const x = randn(100_000).pin_memory()
    expect([x.is_pinned(), x.device, x.pin_memory().data_ptr()]).toEqual([true, 'cpu', x.data_ptr()])
    const there = x.to({ device, non_blocking: true })
    const back = empty(100_000).pin_memory()
    back.copy_(there.mul(2), true)
    cuda.synchronize()
    expect(back.equal(x.mul(2))).toBe(true)
    expect(x.to(device).to('cpu').equal(x)).toBe(true)
  })

  it('may be written again after a copy from a typed array that views it', () => {
    const pinned = zeros(4_000_000).pin_memory()
    const view = pinned.typed_array() as Float32Array
    for (let i = 0; i < 10; i++) {
      view.fill(i)
      const there = from_typed_array(view, [view.length]).to(device)
      view.fill(-1)
      expect(there.narrow(0, 3_999_999, 1).item()).toBe(i)
      there.dispose()
    }
  })

  it('may be disposed of while it is copied', () => {
    const source = arange(4_000_000, { dtype: 'float32' })
    for (let i = 0; i < 10; i++) {
      const pinned = source.add(i).pin_memory()
      const there = pinned.to({ device, non_blocking: true })
      pinned.dispose()
      zeros(4_000_000).pin_memory().dispose()
      expect(there.narrow(0, 3_999_999, 1).item()).toBe(3_999_999 + i)
      there.dispose()
    }
  })

  it('shares its memory with typed arrays', () => {
    const x = tensor([1, 2, 3]).pin_memory()
    const array = x.typed_array() as Float32Array
    array[1] = 7
    expect(x.to(device).tolist()).toEqual([1, 7, 3])
    try {
      structuredClone(array, { transfer: [array.buffer as ArrayBuffer] })
    } catch {
      // Newer versions of Node throw, older ones copy. Neither takes the memory away.
    }
    expect(from_typed_array(array).tolist()).toEqual([1, 7, 3])
  })
})
