import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { ArgumentError, DisposedError, OutOfMemoryError } from '@magi-attention/common'
import {
  apply_function,
  type CustomFunction,
  empty,
  empty_cache,
  keep,
  memory,
  nn,
  no_grad,
  randn,
  type Tensor,
  TensorScope,
  tensor,
  tidy,
  zeros,
} from '@magi-attention/tensor'
import { beforeEach, describe, expect, it } from 'vitest'

setFlagsFromString('--expose_gc')
const collectGarbage = runInNewContext('gc') as () => void

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    collectGarbage()
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

const live = () => {
  const { tensors, bytes } = memory()
  return { tensors, bytes }
}

beforeEach(settle)

describe('training steps', () => {
  const model = () => ({
    layers: [new nn.Linear(8, 16), new nn.Linear(16, 4)],
    x: randn(5, 8),
    y: randn(5, 4),
  })

  function step({ layers, x, y }: ReturnType<typeof model>): number {
    let hidden = x
    for (const layer of layers) hidden = layer.forward(hidden).mul(0.5)
    const error = hidden.sub(y)
    const loss = error.mul(error).mean()
    for (const layer of layers) layer.zero_grad()
    loss.backward()
    no_grad(() => {
      for (const layer of layers) {
        for (const parameter of layer.parameters()) parameter.copy_(parameter.sub(parameter.grad!.mul(0.01)))
      }
    })
    return loss.item()
  }

  it('leave nothing behind in tidy, 10,000 times', () => {
    const state = model()
    const first = tidy(() => step(state))
    const before = memory()
    let last = first
    for (let i = 0; i < 10_000; i++) last = tidy(() => step(state))
    expect(memory()).toEqual(before)
    expect(last).toBeLessThan(first)
  })

  it('leave nothing behind with using', () => {
    const w = randn([8, 8], { requires_grad: true })
    const x = randn(4, 8)
    const run = () => {
      using y = x.matmul(w)
      using squared = y.mul(y)
      using loss = squared.sum()
      loss.backward()
    }
    // The second step is the first to add to a gradient, which takes one buffer more.
    for (let i = 0; i < 2; i++) run()
    const before = memory()
    for (let i = 0; i < 10_000; i++) run()
    expect(memory()).toEqual(before)
  })

  it('are collected in the end when nothing is disposed', async () => {
    const state = model()
    step(state)
    await settle()
    const before = live()
    for (let i = 0; i < 10_000; i++) step(state)
    await settle()
    expect(live()).toEqual(before)
  })

  it('that never run backward are freed with their results', () => {
    const state = model()
    const before = live()
    tidy(() => {
      const loss = state.layers[0]!.forward(state.x).mul(2).sum()
      return loss.item()
    })
    expect(live()).toEqual(before)
    {
      using hidden = state.layers[0]!.forward(state.x)
      using squared = hidden.mul(hidden)
      using loss = squared.sum()
      expect(loss.numel()).toBe(1)
    }
    expect(live()).toEqual(before)
  })
})

describe('Tensor.dispose', () => {
  it('gives the memory back, a second time has no effect', () => {
    const before = live()
    const x = zeros(100)
    expect(live()).toEqual({ tensors: before.tensors + 1, bytes: before.bytes + 400 })
    x.dispose()
    x.dispose()
    expect(live()).toEqual(before)
    expect(x.is_disposed).toBe(true)
  })

  it('makes every later use throw, naming the tensor', () => {
    const x = zeros([2, 3], { requires_grad: true })
    x.dispose()
    const uses: ((x: Tensor) => unknown)[] = [
      x => x.shape,
      x => x.strides,
      x => x.dtype,
      x => x.device,
      x => x.ndim,
      x => x.numel(),
      x => x.requires_grad,
      x => x.is_leaf,
      x => x.grad,
      x => x.storage_offset(),
      x => x.data_ptr(),
      x => x.view(6),
      x => x.narrow(0, 0, 1),
      x => x.index_select(0, [0]),
      x => x.to('float64'),
      x => x.clone(),
      x => x.detach(),
      x => x.add(1),
      x => x.neg(),
      x => x.matmul(zeros(3, 1)),
      x => x.sum(),
      x => x.mean(),
      x => x.backward(),
      x => x.copy_(new Float32Array(6)),
      x => x.item(),
      x => x.tolist(),
      x => x.to_typed_array(),
      x => x.to_float32_array(),
      x => x.typed_array(),
      x => x.equal(zeros(2, 3)),
      x => x.to_dlpack(),
      x => x.zero_grad(),
      x => zeros(2, 3).add(x),
    ]
    for (const use of uses) expect(() => use(x), String(use)).toThrow(DisposedError)
    expect(() => x.shape).toThrow(/Tensor\(float32, disposed\)\[2, 3\]/)
    expect(String(x)).toBe('Tensor(float32, disposed)[2, 3]')
  })

  it('of a view leaves the others alone; the memory goes with the last', () => {
    const before = live()
    const x = tensor([1, 2, 3, 4])
    const y = x.view(2, 2)
    const z = y.narrow(0, 1, 1)
    x.dispose()
    y.dispose()
    expect(z.tolist()).toEqual([[3, 4]])
    expect(live().bytes).toBe(before.bytes + 16)
    z.dispose()
    expect(live()).toEqual(before)
  })

  it('frees the gradient of a leaf', () => {
    const before = live()
    const x = tensor([1], { requires_grad: true })
    tidy(() => x.mul(x).backward())
    expect(live().tensors).toBe(before.tensors + 2)
    x.dispose()
    expect(live()).toEqual(before)
  })

  it('keeps what the tape saved, until backward has run', () => {
    const before = live()
    const x = tensor([1, 2], { requires_grad: true })
    const loss = tidy(() => x.mul(tensor([3, 4])).sum())
    expect(live()).toEqual({ tensors: before.tensors + 2, bytes: before.bytes + 8 + 8 + 4 })
    loss.backward()
    expect(x.grad!.tolist()).toEqual([3, 4])
    for (const t of [loss, x]) t.dispose()
    expect(live()).toEqual(before)
  })
})

describe('tidy', () => {
  it('keeps what is returned, nested, and frees the rest', () => {
    const before = live()
    const result = tidy(() => {
      zeros(10)
      return { list: [zeros(1), new Map([['a', zeros(2)]])] as const, other: null }
    })
    expect(live().tensors).toBe(before.tensors + 2)
    const kept = result.list[1].get('a')!
    expect(kept.tolist()).toEqual([0, 0])
    for (const t of [result.list[0], kept]) t.dispose()
    expect(live()).toEqual(before)
  })

  it('nests: what the inner one returns belongs to the outer one', () => {
    const before = live()
    tidy(() => {
      const inner = tidy(() => zeros(3).add(1))
      expect(inner.tolist()).toEqual([1, 1, 1])
    })
    expect(live()).toEqual(before)
  })

  it('frees everything after an error, and refuses promises', () => {
    const before = live()
    expect(() =>
      tidy(() => {
        zeros(3)
        throw new Error('body')
      }),
    ).toThrow('body')
    expect(() => tidy(async () => zeros(3))).toThrow(ArgumentError)
    expect(live()).toEqual(before)
  })

  it('does not take the gradients of leaves, nor what keep() lets go', () => {
    const x = tensor([1], { requires_grad: true })
    const kept: Tensor[] = []
    tidy(() => {
      x.mul(3).backward()
      kept.push(keep(x.add(1)))
    })
    expect([x.grad!.item(), kept[0]!.item()]).toEqual([3, 2])
  })

  it('can return the gradient of a leaf that dies inside', () => {
    const grad = tidy(() => {
      const x = tensor([2], { requires_grad: true })
      x.mul(x).backward()
      return x.grad!
    })
    expect(grad.item()).toBe(4)
  })
})

describe('TensorScope', () => {
  it('works across await', async () => {
    const before = live()
    {
      using scope = new TensorScope()
      const x = scope.run(() => zeros(4).add(1))
      await Promise.resolve()
      const y = scope.track(x.mul(2))
      const outside = zeros(1)
      expect([y.tolist(), scope.size]).toEqual([[2, 2, 2, 2], 3])
      outside.dispose()
    }
    expect(live()).toEqual(before)
  })

  it('keep() lets a tensor survive', () => {
    const scope = new TensorScope()
    const x = scope.run(() => zeros(1))
    scope.keep(x)
    scope.dispose()
    expect(x.item()).toBe(0)
    x.dispose()
  })

  it('forgets tensors that were disposed', () => {
    const scope = new TensorScope()
    scope.run(() => zeros(1)).dispose()
    expect(scope.size).toBe(0)
  })
})

describe('the memory pool', () => {
  it('reuses freed memory of the same size, and zeros clears it', () => {
    empty_cache()
    const x = zeros(1000)
    const address = x.data_ptr()
    x.copy_(new Float32Array(1000).fill(1))
    x.dispose()
    expect(memory().pooled_bytes).toBeGreaterThanOrEqual(4000)
    const y = zeros(1000)
    expect(y.data_ptr()).toBe(address)
    expect(y.sum().item()).toBe(0)
    y.dispose()
    empty_cache()
    expect(memory().pooled_bytes).toBe(0)
  })

  it('never reuses memory that was handed out', () => {
    const x = zeros(500)
    const array = x.typed_array() as Float32Array
    x.dispose()
    for (let i = 0; i < 20; i++) empty(500).copy_(new Float32Array(500).fill(7))
    expect(array.every(value => value === 0)).toBe(true)
    const y = zeros(500)
    const { ptr, release } = y.to_dlpack()
    y.dispose()
    expect(zeros(500).data_ptr()).not.toBe(ptr)
    release()
    release()
  })

  it('starts every tensor on a 64-byte boundary', () => {
    for (const size of [1, 3, 17, 1000, 100_000]) expect(zeros(size).data_ptr() % 64n).toBe(0n)
  })

  it('gives OutOfMemoryError, and the process stays usable', () => {
    const before = live()
    expect(() => empty(2 ** 44)).toThrow(OutOfMemoryError)
    expect(live()).toEqual(before)
    expect(zeros(2).tolist()).toEqual([0, 0])
  })
})

describe('custom functions', () => {
  it('free what they saved when forward throws or nothing is recorded', () => {
    const failing: CustomFunction<boolean, readonly [Tensor]> = {
      name: 'failing',
      forward(ctx, [x], fails) {
        using copy = x.clone()
        ctx.save_for_backward(copy)
        if (fails) throw new Error('forward')
        return [x.mul(2)]
      },
      backward: (_, [grad]) => [grad!],
    }
    const x = tensor([1], { requires_grad: true })
    const before = live()
    expect(() => apply_function(failing, [x], true)).toThrow('forward')
    expect(live()).toEqual(before)
    no_grad(() => apply_function(failing, [x], false)[0]!.dispose())
    expect(live()).toEqual(before)
  })

  it('a failing backward leaves no gradients behind', () => {
    const failing: CustomFunction<undefined, readonly [Tensor]> = {
      name: 'failing',
      forward: (_, [x]) => [x.mul(2)],
      backward() {
        zeros(10)
        throw new Error('backward')
      },
    }
    const x = tensor([1], { requires_grad: true })
    const before = live()
    tidy(() => {
      const y = apply_function(failing, [x], undefined)[0]!
      expect(() => y.mul(3).add(x).backward()).toThrow('backward')
    })
    x.zero_grad()
    expect(live()).toEqual(before)
  })
})
