import { cat, manual_seed, nn, pad_at_dim, randn, type Tensor, tidy } from '@magi-attention/tensor'
import { expect, it } from 'vitest'
import { describeOnGpu } from './gpu.js'
import { expectClose, flat } from './helpers.js'

/** A loss over most operations, and the gradients of all leaves, as numbers. */
function run(device: 'cpu' | 'cuda'): number[][] {
  return tidy(() => {
    manual_seed(3)
    const layer = new nn.Linear(12, 6, { dtype: 'float64', device })
    const scale = randn([6], { dtype: 'float64', device, requires_grad: true })
    const x = randn([4, 5, 12], { dtype: 'float64', requires_grad: true })
    const there: Tensor = x.to(device)
    const hidden = layer.forward(there).mul(scale).div(scale.mul(scale).add(2))
    const rows = hidden.view(20, 6).index_select(0, [3, 3, 0, 19, 7])
    const joined = cat([rows, hidden.narrow(1, 1, 2).view(8, 6), rows.neg()], 0)
    const padded = pad_at_dim(joined, 1, 2, 0.5)
    const loss = padded.mul(padded).mean([0]).sum().to('float32').to('float64')
    loss.backward()
    expect(x.grad!.device).toBe('cpu')
    expect(layer.weight.grad!.device).toBe(device === 'cpu' ? 'cpu' : 'cuda:0')
    return [loss, x.grad!, scale.grad!, ...layer.parameters().map(p => p.grad!)].map(flat)
  })
}

describeOnGpu('gradients on a GPU', () => {
  it('are those of the CPU, through every operation and across devices', () => {
    const [gpu, cpu] = [run('cuda'), run('cpu')]
    cpu.forEach((values, i) => {
      // The loss passes through float32.
      expectClose(gpu[i]!, values, i === 0 ? 1e-6 : 1e-7)
    })
  })
})
