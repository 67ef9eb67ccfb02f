import { cuda, ones, randn, zeros } from '@magi-attention/tensor'
import { currentStream } from '@magi-attention/tensor/internal'
import { expect, it } from 'vitest'
import { describeOnGpu, isEmulated } from './gpu.js'
import { expectClose, flat } from './helpers.js'

const device = 'cuda' as const

describeOnGpu('streams and events', () => {
  it('order work by events, across streams', () => {
    const side = new cuda.Stream({ priority: -1 })
    for (let i = 0; i < 20; i++) {
      const x = full(i)
      const event = cuda.current_stream().record_event()
      const y = cuda.stream(side, () => {
        expect(currentStream('cuda:0')).toBe(side.cuda_stream)
        side.wait_event(event)
        return x.mul(2).sum()
      })
      x.dispose()
      cuda.current_stream().wait_stream(side)
      expect(y.item()).toBe(2_000_000 * i)
    }
    expect(currentStream('cuda:0')).toBe(0n)
    side.synchronize()
    expect(side.query()).toBe(true)
    side.dispose()
    expect(() => side.cuda_stream).toThrow(/disposed/)
    function full(value: number) {
      return ones([1_000_000], { device }).mul(value)
    }
  })

  it.skipIf(isEmulated)('reuse memory only when every stream is done with it', () => {
    using side = new cuda.Stream()
    for (let i = 0; i < 20; i++) {
      const x = ones([8_000_000], { device })
      side.wait_stream(cuda.current_stream())
      const y = cuda.stream(side, () => {
        // Long enough for the default stream to overtake.
        let sum = x.add(0)
        for (let j = 0; j < 10; j++) sum = sum.add(x)
        return sum
      })
      x.dispose()
      zeros([8_000_000], { device }).dispose()
      cuda.current_stream().wait_stream(side)
      expect(y.narrow(0, 7_999_999, 1).item()).toBe(11)
      y.dispose()
    }
  })

  it('memory outlives the stream it was made on', () => {
    const side = new cuda.Stream()
    const x = cuda.stream(side, () => ones([1000], { device }))
    side.dispose()
    expect(x.sum().item()).toBe(1000)
    x.dispose()
  })

  it('may be destroyed while another one is current', () => {
    const [first, second] = [new cuda.Stream(), new cuda.Stream()]
    cuda.set_stream(first)
    cuda.stream(second, () => first.dispose())
    expect(cuda.current_stream().cuda_stream).toBe(0n)
    expect(ones([1000], { device }).sum().item()).toBe(1000)
    second.dispose()
  })

  it('measure time', () => {
    const [start, end] = [new cuda.Event({ enable_timing: true }), new cuda.Event({ enable_timing: true })]
    start.record()
    expectClose(
      flat(randn([512, 512], { device }).matmul(zeros([512, 1], { device }))),
      new Array(512).fill(0),
    )
    end.record()
    expect(start.elapsed_time(end)).toBeGreaterThan(0)
    expect(end.query()).toBe(true)
    expect(() => new cuda.Event().elapsed_time(end)).toThrow(/recorded/)
  })

  it('describe the device', () => {
    expect(cuda.get_device_name().length).toBeGreaterThan(0)
    const { major, total_memory, multi_processor_count } = cuda.get_device_properties()
    expect(cuda.get_device_capability()[0]).toBe(major)
    expect(major).toBeGreaterThanOrEqual(8)
    expect(cuda.mem_get_info()[1]).toBeLessThanOrEqual(total_memory)
    expect(multi_processor_count).toBeGreaterThan(0)
    expect(cuda.default_stream().cuda_stream).toBe(0n)
  })
})
