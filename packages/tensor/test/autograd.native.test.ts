import { ArgumentError, AutogradError, DisposedError, DTypeError } from '@magi-attention/common'
import {
  apply_function,
  type CustomFunction,
  cat,
  is_grad_enabled,
  no_grad,
  ones,
  pad_at_dim,
  randn,
  type Tensor,
  tensor,
  tidy,
  unpad_at_dim,
  zeros,
} from '@magi-attention/tensor'
import { describe, expect, it } from 'vitest'
import { checkGradients } from './helpers.js'

describe('gradients against finite differences', () => {
  it.each(['add', 'sub', 'mul', 'div'] as const)('%s, with broadcasting', name => {
    checkGradients(
      [
        [2, 3],
        [2, 3],
      ],
      (a, b) => a![name](b!),
    )
    checkGradients(
      [
        [4, 1, 3],
        [2, 1],
      ],
      (a, b) => a![name](b!),
    )
    checkGradients([[], [2, 2]], (a, b) => a![name](b!))
    checkGradients([[2, 3]], a => a![name](0.7))
    checkGradients([[3]], a => a![name](a!))
  })

  it('neg, sum and mean', () => {
    checkGradients([[2, 3]], a => a!.neg())
    checkGradients([[2, 3]], a => a!.sum())
    checkGradients([[2, 3, 4]], a => a!.sum([0, 2]))
    checkGradients([[2, 3, 4]], a => a!.mean(1, true))
    checkGradients([[2, 3]], a => a!.mean())
  })

  it('matmul', () => {
    checkGradients(
      [
        [3, 4],
        [4, 2],
      ],
      (a, b) => a!.matmul(b!),
    )
    checkGradients(
      [
        [2, 3, 4],
        [4, 2],
      ],
      (a, b) => a!.matmul(b!),
    )
  })

  it('views, copies and conversions', () => {
    checkGradients([[2, 6]], a => a!.view(3, -1))
    checkGradients([[4, 3]], a => a!.narrow(0, 1, 2))
    checkGradients([[2, 4, 2]], a => a!.narrow(1, 2, 2))
    checkGradients([[3, 2]], a => a!.index_select(0, [2, 0, 2, 2]))
    checkGradients([[2, 3]], a => a!.index_select(1, [1, 1]))
    checkGradients(
      [
        [2, 3],
        [2, 1],
      ],
      (a, b) => cat([a!, b!, a!], 1),
    )
    checkGradients([[2, 3]], a => pad_at_dim(a!, 1, 2, 0, 'left'))
    checkGradients([[2, 3]], a => unpad_at_dim(a!, -1, 1))
    checkGradients([[2, 3]], a => a!.clone().to('float64'))
  })

  it('a graph where results are used several times', () => {
    checkGradients([[3], [3]], (a, b) => {
      const c = a!.mul(b!)
      return c.mul(c).add(c.div(b!)).sub(a!)
    })
  })
})

describe('Tensor.backward', () => {
  it('adds up in grad over several calls', () => {
    const x = tensor([1, 2], { requires_grad: true })
    x.mul(3).sum().backward()
    x.mul(x).sum().backward()
    expect(x.grad!.tolist()).toEqual([5, 7])
    x.zero_grad()
    expect(x.grad).toBeNull()
  })

  it('keeps the dtype of the leaf', () => {
    const x = tensor([1, 2], { dtype: 'bfloat16', requires_grad: true })
    x.to('float32')
      .mul(tensor([1.00390625, 2]))
      .sum()
      .backward()
    expect([x.grad!.dtype, x.grad!.tolist()]).toEqual(['bfloat16', [1, 2]])
  })

  it('of a leaf gives its own gradient', () => {
    const x = tensor([1, 2], { requires_grad: true })
    const grad = tensor([3, 4])
    x.backward(grad)
    grad.copy_(new Float32Array(2))
    expect(x.grad!.tolist()).toEqual([3, 4])
  })

  it('does not let two leaves share one gradient', () => {
    const a = tensor([1], { requires_grad: true })
    const b = tensor([1], { requires_grad: true })
    a.add(b).backward()
    a.add(1).backward()
    expect([a.grad!.item(), b.grad!.item()]).toEqual([2, 1])
  })

  it('survives a graph deeper than the call stack', () => {
    const depth = 50_000
    const x = tensor([1], { requires_grad: true })
    let y: Tensor = x.add(0)
    for (let i = 0; i < depth; i++) {
      using before = y
      y = before.add(x)
    }
    y.backward()
    expect(x.grad!.item()).toBe(depth + 1)
    let z: Tensor = x.add(0)
    for (let i = 0; i < depth; i++) {
      using before = z
      z = before.mul(1)
    }
    expect(() => z.dispose()).not.toThrow()
  })

  it('twice through a freed graph is an error; retain_graph allows it', () => {
    const x = tensor([2], { requires_grad: true })
    const y = x.mul(x)
    y.backward(null, { retain_graph: true })
    y.backward()
    expect(x.grad!.item()).toBe(8)
    expect(() => y.backward()).toThrow(AutogradError)
    expect(() => y.add(1).backward()).toThrow(/second time/)
  })

  it('refuses a missing or unfit gradient, and tensors without history', () => {
    const x = tensor([1, 2], { requires_grad: true })
    const y = x.mul(2)
    expect(() => y.backward()).toThrow(AutogradError)
    expect(() => y.backward(ones(3))).toThrow(AutogradError)
    expect(() => y.backward(ones([2], { dtype: 'float64' }))).toThrow(AutogradError)
    expect(() => y.backward([1, 1] as unknown as Tensor)).toThrow(ArgumentError)
    expect(() => ones(1).backward()).toThrow(AutogradError)
    expect(() => no_grad(() => x.sum()).backward()).toThrow(AutogradError)
    expect(() => x.detach().sum().backward()).toThrow(AutogradError)
    y.backward(ones(2))
    expect(x.grad!.tolist()).toEqual([2, 2])
  })

  it('notices that a saved tensor was overwritten', () => {
    const x = tensor([1, 2], { requires_grad: true })
    const factor = tensor([3, 4])
    const y = x.mul(factor).sum()
    factor.narrow(0, 0, 1).copy_(Float32Array.of(9))
    expect(() => y.backward()).toThrow(/overwritten in place/)
    const z = x.add(factor).sum()
    factor.copy_(Float32Array.of(0, 0))
    z.backward()
    expect(x.grad!.tolist()).toEqual([1, 1])
  })

  it('works when the operands were disposed after use', () => {
    const x = tensor([2, 3], { requires_grad: true })
    const factor = tensor([5, 7])
    const y = x.mul(factor)
    const loss = y.sum()
    factor.dispose()
    y.dispose()
    // New tensors must not get the memory that the tape still needs.
    zeros(2)
    loss.backward()
    expect(x.grad!.tolist()).toEqual([5, 7])
  })

  it('skips a leaf that was disposed', () => {
    const x = tensor([2], { requires_grad: true })
    const w = tensor([3], { requires_grad: true })
    const loss = x.mul(w)
    w.dispose()
    loss.backward()
    expect(x.grad!.item()).toBe(3)
  })
})

describe('requires_grad, is_leaf, detach and no_grad', () => {
  it('follow the graph', () => {
    const x = tensor([1], { requires_grad: true })
    const y = x.add(1)
    expect([x.is_leaf, x.requires_grad, y.is_leaf, y.requires_grad]).toEqual([true, true, false, true])
    expect([y.detach().requires_grad, y.detach().is_leaf]).toEqual([false, true])
    expect(tensor([1]).add(1).requires_grad).toBe(false)
    expect(y.grad).toBeNull()
    expect(y.to('int32').requires_grad).toBe(false)
  })

  it('no_grad ends with its body, also after an error', () => {
    const x = tensor([1], { requires_grad: true })
    expect(no_grad(() => x.add(1).requires_grad)).toBe(false)
    expect(() =>
      no_grad(() => {
        throw new Error('body')
      }),
    ).toThrow('body')
    expect(() => no_grad(async () => 1)).toThrow(ArgumentError)
    expect(is_grad_enabled()).toBe(true)
  })

  it('refuse what cannot be', () => {
    const x = tensor([1], { requires_grad: true })
    const y = x.add(1)
    expect(() => {
      y.requires_grad = false
    }).toThrow(AutogradError)
    expect(() => zeros([1], { dtype: 'int32', requires_grad: true })).toThrow(DTypeError)
    expect(() => {
      x.requires_grad = 1 as unknown as boolean
    }).toThrow(ArgumentError)
    expect(() => x.copy_(Float32Array.of(2))).toThrow(AutogradError)
    expect(() => ones(1).copy_(x)).toThrow(AutogradError)
    expect(no_grad(() => x.copy_(Float32Array.of(2))).item()).toBe(2)
    expect(() => {
      x.grad = ones(2)
    }).toThrow(AutogradError)
    expect(() => {
      y.grad = ones(1)
    }).toThrow(AutogradError)
  })
})

describe('apply_function', () => {
  interface ScaleOptions {
    readonly factor: number
  }
  const seen: unknown[] = []
  const scaledSum: CustomFunction<ScaleOptions, readonly [Tensor, Tensor | null]> = {
    name: 'scaled_sum',
    forward(ctx, [x, sink], { factor }) {
      seen.push(is_grad_enabled(), ctx.needs_input_grad)
      ctx.save_for_backward(x)
      const out = x.mul(factor).mul(x)
      const count = tensor([x.numel()])
      ctx.mark_non_differentiable(count)
      return [sink ? out.add(sink) : out, count]
    },
    backward(ctx, [grad, count], { factor }) {
      seen.push(is_grad_enabled(), count)
      return [grad!.mul(ctx.saved_tensors[0]!).mul(2 * factor), ctx.needs_input_grad[1] ? grad!.sum() : null]
    },
  }

  it('runs forward and backward unrecorded, with null for an absent input', () => {
    seen.length = 0
    const x = tensor([1, 2], { requires_grad: true })
    const [out, count] = apply_function(scaledSum, [x, null], { factor: 3 })
    expect([out!.tolist(), count!.item(), count!.requires_grad]).toEqual([[3, 12], 2, false])
    out!.backward(tensor([1, 10]))
    expect(x.grad!.tolist()).toEqual([6, 120])
    expect(seen).toEqual([false, [true, false], false, null])
  })

  it('gives gradients to every input that wants one', () => {
    const x = tensor([1, 2], { requires_grad: true })
    const sink = tensor(5, { requires_grad: true })
    const [out] = apply_function(scaledSum, [x, sink], { factor: 1 })
    out!.sum().backward()
    expect([x.grad!.tolist(), sink.grad!.item()]).toEqual([[2, 4], 2])
  })

  it('passes gradients by output, null where none came', () => {
    const halves: CustomFunction<undefined, readonly [Tensor]> = {
      name: 'halves',
      forward: (_, [x]) => [x.narrow(0, 0, 1).clone(), x.narrow(0, 1, 1).clone()],
      backward(_, [first, second]) {
        using none = zeros(1)
        return [cat([first ?? none, second ?? none])]
      },
    }
    const x = tensor([1, 2], { requires_grad: true })
    const [, second] = apply_function(halves, [x], undefined)
    second!.backward()
    expect(x.grad!.tolist()).toEqual([0, 1])
  })

  it('gives an input that is handed through a history of its own', () => {
    const identity: CustomFunction<undefined, readonly [Tensor]> = {
      name: 'identity',
      forward: (_, [x]) => [x],
      backward: (_, [grad]) => [grad!.mul(10)],
    }
    const x = tensor([1], { requires_grad: true })
    const [y] = apply_function(identity, [x], undefined)
    expect([y === x, x.is_leaf, y!.is_leaf]).toEqual([false, true, false])
    y!.backward()
    expect(x.grad!.item()).toBe(10)
  })

  it('treats a result that is returned twice as two', () => {
    const twice: CustomFunction<undefined, readonly [Tensor]> = {
      name: 'twice',
      forward(_, [x]) {
        const copy = x.clone()
        return [copy, copy]
      },
      backward: (_, [first, second]) => [first!.mul(10).add(second!)],
    }
    const x = tensor([1], { requires_grad: true })
    const [first, second] = apply_function(twice, [x], undefined)
    first!.mul(2).add(second!.mul(3)).backward()
    expect(x.grad!.item()).toBe(23)
  })

  it('refuses a forward that returns no tensors', () => {
    for (const result of [undefined, [1], [null]]) {
      const wrong: CustomFunction = {
        name: 'wrong',
        forward: () => result as unknown as Tensor[],
        backward: () => [null],
      }
      expect(() => apply_function(wrong, [ones(1)], undefined)).toThrow(/wrong\.forward/)
    }
  })

  it('names the function whose backward returns something unfit', () => {
    const wrong = (grads: (Tensor | null)[]): CustomFunction => ({
      name: 'wrong',
      forward: (_, [x]) => [x!.clone()],
      backward: () => grads,
    })
    const x = tensor([1, 2], { requires_grad: true })
    const run = (grads: (Tensor | null)[]) =>
      apply_function(wrong(grads), [x], undefined)[0]!.sum().backward()
    expect(() => run([])).toThrow(/"wrong" must return 1 gradients/)
    expect(() => run([ones(3)])).toThrow(/"wrong", input 0.*\[2\]/)
    expect(() => run([ones([2], { dtype: 'float64' })])).toThrow(AutogradError)
    run([null])
    expect(x.grad).toBeNull()
    const kept = ones(2)
    run([kept])
    expect([x.grad!.tolist(), kept.tolist()]).toEqual([
      [1, 1],
      [1, 1],
    ])
    expect(x.grad!.data_ptr()).not.toBe(kept.data_ptr())
  })

  it('refuses inputs that are no live tensors', () => {
    const gone = tensor([1])
    gone.dispose()
    expect(() => apply_function(scaledSum, [gone, null], { factor: 1 })).toThrow(DisposedError)
    expect(() => apply_function(scaledSum, [1 as unknown as Tensor, null], { factor: 1 })).toThrow(
      /scaled_sum input 0/,
    )
  })

  it('frees what backward made and did not return', () => {
    const x = randn([4], { requires_grad: true })
    const loss = apply_function(scaledSum, [x, null], { factor: 1 })[0]!.sum()
    tidy(() => loss.backward())
    expect(x.grad!.shape).toEqual([4])
  })
})
