import { DeviceError } from '@magi-attention/common'
import { cuda, ones, randn, zeros } from '@magi-attention/tensor'
import { expect, it } from 'vitest'
import { describeOnGpu } from './gpu.js'

describeOnGpu(
  'two GPUs',
  () => {
    it('copy between each other, with gradients, on any stream', () => {
      const x = randn([1_000_000], { device: 'cuda:0', requires_grad: true })
      const there = x.to('cuda:1')
      expect([there.device, there.to('cpu').equal(x.to('cpu'))]).toEqual(['cuda:1', true])
      there.mul(3).sum().backward()
      expect(x.grad!.device).toBe('cuda:0')
      expect(x.grad!.sum().item()).toBe(3_000_000)

      using side = new cuda.Stream({ device: 'cuda:1' })
      for (let i = 0; i < 20; i++) {
        const source = ones([4_000_000], { device: 'cuda:0' }).mul(i)
        const copy = cuda.stream(side, () => source.to('cuda:1').add(1))
        source.dispose()
        zeros([4_000_000], { device: 'cuda:0' }).dispose()
        cuda.current_stream('cuda:1').wait_stream(side)
        expect(copy.narrow(0, 3_999_999, 1).item()).toBe(i + 1)
      }
    })

    it('may write the source again while it is copied', () => {
      const source = zeros([16_000_000], { device: 'cuda:0' })
      const other = ones([16_000_000], { device: 'cuda:0' })
      const copy = source.to('cuda:1')
      source.copy_(other)
      expect(copy.narrow(0, 15_999_999, 1).item()).toBe(0)
    })

    it('count their memory apart, and do not mix', () => {
      const before = cuda.memory_allocated('cuda:1')
      const y = zeros([1000], { device: 'cuda:1' })
      expect(cuda.memory_allocated('cuda:1')).toBe(before + 4000)
      expect(() => y.add(zeros([1000], { device: 'cuda:0' }))).toThrow(DeviceError)
      const product = randn([8, 8], { device: 'cuda:1' }).matmul(ones([8, 2], { device: 'cuda:1' }))
      expect(product.shape).toEqual([8, 2])
      expect(product.sub(product).sum().item()).toBe(0)
    })
  },
  2,
)
