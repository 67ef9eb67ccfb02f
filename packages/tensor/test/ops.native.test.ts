import { ArgumentError, DTypeError, IndexError, ShapeError } from '@magi-attention/common'
import {
  arange,
  cat,
  type DType,
  full,
  pad,
  pad_at_dim,
  randn,
  set_num_threads,
  squash_batch_dim,
  type Tensor,
  tensor,
  unpad_at_dim,
  zeros,
} from '@magi-attention/tensor'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { broadcastIndex, expectClose, flat } from './helpers.js'

const operators = {
  add: (a: number, b: number) => a + b,
  sub: (a: number, b: number) => a - b,
  mul: (a: number, b: number) => a * b,
  div: (a: number, b: number) => a / b,
} as const
type Operator = keyof typeof operators
const names = Object.keys(operators) as Operator[]

/** Two shapes that broadcast: both made from one by setting sizes to 1 and cutting leading dimensions. */
const shapePair = fc
  .array(fc.integer({ min: 1, max: 4 }), { minLength: 0, maxLength: 4 })
  .chain(full =>
    fc.tuple(
      fc.constant(full),
      ...[0, 1].map(() =>
        fc
          .tuple(
            fc.integer({ min: 0, max: full.length }),
            fc.array(fc.boolean(), { minLength: full.length, maxLength: full.length }),
          )
          .map(([cut, ones]) => full.map((size, i) => (ones[i] ? 1 : size)).slice(cut)),
      ),
    ),
  )

describe('elementwise operations', () => {
  it('broadcast as a plain loop does', () => {
    fc.assert(
      fc.property(shapePair, fc.constantFrom(...names), ([, shapeA, shapeB], name) => {
        const a = randn(shapeA!, { dtype: 'float64' })
        const b = randn(shapeB!, { dtype: 'float64' })
        const out = a[name](b)
        const [valuesA, valuesB] = [flat(a), flat(b)]
        const expected = flat(out).map((_, i) =>
          operators[name](
            valuesA[broadcastIndex(shapeA!, out.shape, i)]!,
            valuesB[broadcastIndex(shapeB!, out.shape, i)]!,
          ),
        )
        expectClose(flat(out), expected)
        const rank = Math.max(shapeA!.length, shapeB!.length)
        const size = (shape: readonly number[], i: number) => shape[shape.length - rank + i] ?? 1
        expect(out.shape).toEqual(
          Array.from({ length: rank }, (_, i) => Math.max(size(shapeA!, i), size(shapeB!, i))),
        )
      }),
      { numRuns: 150 },
    )
  })

  it.each(names)('%s of float32 and low precision rounds once', name => {
    for (const dtype of ['float32', 'bfloat16', 'float16'] as const) {
      const a = randn(1000, { dtype })
      const b = randn(1000, { dtype })
      const [valuesA, valuesB] = [a.to_float32_array(), b.to_float32_array()]
      const exact = Float32Array.from(valuesA, (value, i) => operators[name](value, valuesB[i]!))
      expect(a[name](b).equal(tensor(exact).to(dtype))).toBe(true)
    }
  })

  it.each(names)('%s with a number', name => {
    const a = randn(100, { dtype: 'float64' })
    expectClose(
      flat(a[name](0.3)),
      flat(a).map(value => operators[name](value, 0.3)),
      1e-15,
    )
    const single = randn(100)
    const number = Math.fround(0.3)
    const expected = Float32Array.from(single.to_float32_array(), value => operators[name](value, number))
    expect(single[name](number).equal(tensor(expected))).toBe(true)
  })

  it('work on integers exactly', () => {
    const big = tensor(BigInt64Array.of(2n ** 53n + 1n, -(2n ** 60n)))
    expect(big.add(big).to_typed_array()).toEqual(BigInt64Array.of(2n ** 54n + 2n, -(2n ** 61n)))
    expect(tensor([7, -3], { dtype: 'int32' }).mul(3).tolist()).toEqual([21, -9])
    expect(tensor([7, -3], { dtype: 'int32' }).neg().tolist()).toEqual([-7, 3])
    expect(
      tensor([7, -3], { dtype: 'int32' })
        .sub(tensor([1, 2], { dtype: 'int32' }))
        .tolist(),
    ).toEqual([6, -5])
  })

  it('keep the sign of zero', () => {
    expect(Object.is(tensor([0]).neg().item(), -0)).toBe(true)
    expect(Object.is(tensor([-0]).mul(1).item(), -0)).toBe(true)
  })

  it('refuse what does not fit', () => {
    const a = zeros(2, 3)
    expect(() => a.add(zeros(2, 4))).toThrow(ShapeError)
    expect(() => a.add(zeros([2, 3], { dtype: 'float64' }))).toThrow(DTypeError)
    expect(() => a.add('1' as unknown as number)).toThrow(ArgumentError)
    expect(() => a.add(undefined as unknown as number)).toThrow(ArgumentError)
    expect(() => tensor([1], { dtype: 'int32' }).add(1.5)).toThrow(ArgumentError)
    expect(() => tensor([1], { dtype: 'int32' }).add(2 ** 40)).toThrow(ArgumentError)
    expect(() => tensor([1], { dtype: 'int32' }).div(2)).toThrow(DTypeError)
    expect(() => zeros(1, 1, 1, 1, 1, 1, 1, 1, 1)).toThrow(ShapeError)
  })
})

describe('Tensor.matmul', () => {
  const product = (a: Tensor, b: Tensor): number[] => {
    const [m, k, n] = [a.shape[0]!, a.shape[1]!, b.shape[1]!]
    const [valuesA, valuesB] = [flat(a.to('float64')), flat(b.to('float64'))]
    return Array.from({ length: m * n }, (_, i) => {
      let sum = 0
      for (let j = 0; j < k; j++) sum += valuesA[Math.floor(i / n) * k + j]! * valuesB[j * n + (i % n)]!
      return sum
    })
  }

  it.each([
    ['float64', 1e-13],
    ['float32', 1e-5],
    ['bfloat16', 1 / 64],
    ['float16', 1 / 512],
  ] as const)('equals the plain triple loop in %s', (dtype, tolerance) => {
    for (const [m, k, n] of [
      [1, 1, 1],
      [3, 5, 7],
      [17, 33, 9],
      [64, 48, 50],
      [130, 70, 65],
    ] as const) {
      const a = randn([m, k], { dtype })
      const b = randn([k, n], { dtype })
      const scaled = product(a, b).map(value => value / Math.sqrt(k))
      expectClose(
        flat(a.matmul(b).to('float64')).map(value => value / Math.sqrt(k)),
        scaled,
        tolerance,
      )
    }
  })

  it('takes leading dimensions as rows', () => {
    const a = randn([2, 3, 4], { dtype: 'float64' })
    const b = randn([4, 5], { dtype: 'float64' })
    const out = a.matmul(b)
    expect(out.shape).toEqual([2, 3, 5])
    expectClose(flat(out), product(a.view(6, 4), b))
  })

  it('gives zeros for an inner size of 0, and nothing for no rows', () => {
    expect(zeros(2, 0).matmul(zeros(0, 3)).tolist()).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ])
    expect(zeros(0, 4).matmul(zeros(4, 3)).shape).toEqual([0, 3])
  })

  it('refuses what does not fit', () => {
    expect(() => zeros(2, 3).matmul(zeros(2, 3))).toThrow(ShapeError)
    expect(() => zeros(3).matmul(zeros(3, 1))).toThrow(ShapeError)
    expect(() => zeros(2, 3).matmul(zeros(1, 3, 2))).toThrow(ShapeError)
    expect(() => zeros(2, 3).matmul(zeros([3, 2], { dtype: 'bfloat16' }))).toThrow(DTypeError)
    expect(() => zeros([2, 3], { dtype: 'int32' }).matmul(zeros([3, 2], { dtype: 'int32' }))).toThrow(
      DTypeError,
    )
    expect(() => zeros(2, 3).matmul(null as unknown as Tensor)).toThrow(ArgumentError)
  })
})

describe('reductions', () => {
  it('sum and mean over any set of dimensions', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 0, max: 15 }),
        fc.boolean(),
        (shape, mask, keepdim) => {
          const dims = shape.map((_, i) => i).filter(i => mask & (1 << i))
          if (dims.length === 0) dims.push(...shape.keys())
          const x = randn(shape, { dtype: 'float64' })
          const kept = shape.map((size, i) => (dims.includes(i) ? 1 : size))
          const sums = new Array<number>(kept.reduce((a, b) => a * b, 1)).fill(0)
          flat(x).forEach((value, i) => {
            sums[broadcastIndex(kept, shape, i)]! += value
          })
          const count = dims.reduce((product, dim) => product * shape[dim]!, 1)
          const out = x.sum(mask === 0 ? [] : dims, keepdim)
          expect(out.shape).toEqual(keepdim ? kept : shape.filter((_, i) => !dims.includes(i)))
          expectClose(flat(out), sums)
          expectClose(
            flat(x.mean(dims, keepdim)),
            sums.map(sum => sum / count),
          )
        },
      ),
      { numRuns: 150 },
    )
  })

  it('sum all, one dimension, negative dimensions', () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(x.sum().item()).toBe(21)
    expect(x.sum(0).tolist()).toEqual([5, 7, 9])
    expect(x.sum(-1, true).tolist()).toEqual([[6], [15]])
    expect(x.mean(1).tolist()).toEqual([2, 5])
  })

  it('sum int32 into int64', () => {
    const sum = tensor([2 ** 31 - 1, 2 ** 31 - 1], { dtype: 'int32' }).sum()
    expect([sum.dtype, sum.item()]).toEqual(['int64', 2 ** 32 - 2])
  })

  it('give 0 and NaN for nothing', () => {
    expect(zeros(0, 2).sum(0).tolist()).toEqual([0, 0])
    expect(zeros(0).mean().item()).toBeNaN()
  })

  it('accumulate low precision in float32', () => {
    expect(full([4096], 1, { dtype: 'bfloat16' }).sum().item()).toBe(4096)
    expect(full([8, 2, 512], 1, { dtype: 'bfloat16' }).sum([0, 2]).tolist()).toEqual([4096, 4096])
  })

  it('refuse wrong dimensions', () => {
    const x = zeros(2, 3)
    expect(() => x.sum(2)).toThrow(IndexError)
    expect(() => x.sum(0.5)).toThrow(ArgumentError)
    expect(() => x.sum([0, -2])).toThrow(ArgumentError)
    expect(() => x.sum('0' as unknown as number)).toThrow(ArgumentError)
    expect(() => x.to('int32').mean()).toThrow(DTypeError)
  })
})

describe('set_num_threads', () => {
  it('changes no result', () => {
    const a = randn(257, 300)
    const b = randn(300, 129)
    const index = Array.from({ length: 5000 }, (_, i) => (i * 7) % 257)
    const run = (threads: number): Tensor[] => {
      set_num_threads(threads)
      const x = a.clone()
      x.requires_grad = true
      x.index_select(0, index).sum().backward()
      const wide = a.index_select(0, index)
      return [
        a.matmul(b),
        wide.sum(),
        wide.sum(0),
        wide.mean(1),
        wide.mul(a.narrow(0, 0, 1)),
        wide.to('bfloat16'),
        x.grad!,
      ]
    }
    const [one, ...others] = [1, 2, 3].map(run)
    for (const other of others)
      other.forEach((tensor, i) => {
        expect(tensor.equal(one![i]!), `result ${i}`).toBe(true)
      })
    set_num_threads(2)
  })
})

describe('views and copies', () => {
  it('view shares memory and works out one size', () => {
    const x = arange(12, { dtype: 'float32' })
    const y = x.view(-1, 4)
    expect(y.shape).toEqual([3, 4])
    expect(x.view([2, -1]).shape).toEqual([2, 6])
    expect(y.data_ptr()).toBe(x.data_ptr())
    x.copy_(new Float32Array(12).fill(7))
    expect(y.tolist()).toEqual([
      [7, 7, 7, 7],
      [7, 7, 7, 7],
      [7, 7, 7, 7],
    ])
    expect(() => x.view(5, -1)).toThrow(ShapeError)
    expect(() => x.view(-1, -1)).toThrow(ShapeError)
    expect(() => x.view(13)).toThrow(ShapeError)
    expect(() => x.view(-2, 6)).toThrow(ArgumentError)
    expect(() => x.view(0, -1)).toThrow(ShapeError)
  })

  it('narrow is a view along dimension 0 and a copy elsewhere', () => {
    const x = arange(24).view(2, 3, 4)
    const rows = x.narrow(0, 1, 1)
    expect(rows.data_ptr()).toBe(x.data_ptr() + 12n * 8n)
    expect(rows.tolist()).toEqual([
      [
        [12, 13, 14, 15],
        [16, 17, 18, 19],
        [20, 21, 22, 23],
      ],
    ])
    expect(x.narrow(1, 1, 2).narrow(2, 0, 1).tolist()).toEqual([
      [[4], [8]],
      [[16], [20]],
    ])
    expect(x.narrow(-1, 3, 1).shape).toEqual([2, 3, 1])
    expect(x.narrow(1, 3, 0).shape).toEqual([2, 0, 4])
    expect(() => x.narrow(0, 1, 2)).toThrow(IndexError)
    expect(() => x.narrow(0, -1, 1)).toThrow(ArgumentError)
    expect(() => x.narrow(3, 0, 1)).toThrow(IndexError)
  })

  it('index_select takes rows in any order, repeatedly', () => {
    const x = arange(12).view(3, 4)
    const index = [2, 0, 2]
    for (const given of [index, tensor(index, { dtype: 'int32' }), tensor(index, { dtype: 'int64' })]) {
      expect(x.index_select(0, given).tolist()).toEqual([
        [8, 9, 10, 11],
        [0, 1, 2, 3],
        [8, 9, 10, 11],
      ])
    }
    expect(x.index_select(1, [3, 1]).tolist()).toEqual([
      [3, 1],
      [7, 5],
      [11, 9],
    ])
    expect(x.index_select(0, []).shape).toEqual([0, 4])
    expect(() => x.index_select(0, [3])).toThrow(IndexError)
    expect(() => x.index_select(0, [-1])).toThrow(IndexError)
    expect(() => x.index_select(0, [0.5])).toThrow(ArgumentError)
    expect(() => x.index_select(0, tensor([3], { dtype: 'int32' }))).toThrow(IndexError)
    expect(() => x.index_select(0, tensor([1]))).toThrow(DTypeError)
    expect(() => x.index_select(0, tensor([[1]], { dtype: 'int32' }))).toThrow(ShapeError)
  })

  it.each(['float32', 'bfloat16', 'float64', 'int32', 'int64'] as DType[])(
    'cat joins %s along any dimension',
    dtype => {
      const x = arange(6, { dtype }).view(2, 3)
      const y = arange(10, 14, { dtype }).view(2, 2)
      expect(cat([x, y], 1).tolist()).toEqual([
        [0, 1, 2, 10, 11],
        [3, 4, 5, 12, 13],
      ])
      expect(cat([y, y], 0).tolist()).toEqual([
        [10, 11],
        [12, 13],
        [10, 11],
        [12, 13],
      ])
      expect(() => cat([x, y])).toThrow(ShapeError)
      expect(() => cat([])).toThrow(ArgumentError)
      expect(() => cat([x, zeros([2, 3], { dtype: 'float16' })])).toThrow(DTypeError)
    },
  )

  it('pad_at_dim and unpad_at_dim undo each other, along any dimension', () => {
    const x = arange(6).view(2, 3)
    expect(pad_at_dim(x, 0, 1).tolist()).toEqual([
      [0, 1, 2],
      [3, 4, 5],
      [0, 0, 0],
    ])
    expect(pad_at_dim(x, 1, 2, -1, 'left').tolist()).toEqual([
      [-1, -1, 0, 1, 2],
      [-1, -1, 3, 4, 5],
    ])
    for (const dim of [0, 1, -1]) expect(unpad_at_dim(pad_at_dim(x, dim, 2), dim, 2).equal(x)).toBe(true)
    expect(unpad_at_dim(x, 1, 1).tolist()).toEqual([
      [0, 1],
      [3, 4],
    ])
    expect(() => unpad_at_dim(x, 1, 4)).toThrow(ArgumentError)
    expect(() => pad_at_dim(x, 0, -1)).toThrow(ArgumentError)
    expect(() => pad_at_dim(x, 0, 1, 0, 'top' as 'left')).toThrow(ArgumentError)
  })

  it('pad takes pairs from the last dimension on', () => {
    const x = arange(2).view(1, 2)
    expect(pad(x, [1, 2, 0, 1], 9).tolist()).toEqual([
      [9, 0, 1, 9, 9],
      [9, 9, 9, 9, 9],
    ])
    expect(() => pad(x, [1])).toThrow(ArgumentError)
    expect(() => pad(x, [0, 0, 0, 0, 1, 1])).toThrow(ArgumentError)
  })

  it('squash_batch_dim joins the first two dimensions', () => {
    expect(squash_batch_dim(zeros(2, 3, 4, 5)).shape).toEqual([6, 4, 5])
    expect(() => squash_batch_dim(zeros(3))).toThrow(ShapeError)
  })

  it('clone copies, to() without a change views', () => {
    const x = tensor([1, 2])
    expect(x.clone().data_ptr()).not.toBe(x.data_ptr())
    expect(x.to('float32').data_ptr()).toBe(x.data_ptr())
    expect(x.to({ dtype: 'float64', device: 'cpu' }).dtype).toBe('float64')
  })
})
