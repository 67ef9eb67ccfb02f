import {
  arange,
  cat,
  type DType,
  from_typed_array,
  full,
  manual_seed,
  ones,
  pad,
  rand,
  randn,
  type Tensor,
  tensor,
  zeros,
} from '@magi-attention/tensor'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { describeOnGpu } from './gpu.js'
import { expectClose, flat } from './helpers.js'

const floats = ['float32', 'bfloat16', 'float16', 'float64'] as const
const dtypes: readonly DType[] = [...floats, 'int32', 'int64']

const bitsOf = (x: Tensor): Uint8Array => {
  const { buffer, byteOffset, byteLength } = x.to_typed_array()
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** Same device-independent shape, dtype and bits. */
function expectSame(actual: Tensor, expected: Tensor): void {
  expect(actual.device).toBe('cuda:0')
  expect([actual.shape, actual.dtype]).toEqual([expected.shape, expected.dtype])
  expect(Buffer.compare(bitsOf(actual), bitsOf(expected)), `${actual} next to ${expected}`).toBe(0)
}

/** Runs `body` on the same CPU tensors and on copies of them on the GPU. */
function onBoth(inputs: Tensor[], body: (...inputs: Tensor[]) => Tensor): [gpu: Tensor, cpu: Tensor] {
  return [body(...inputs.map(x => x.to('cuda'))), body(...inputs)]
}

/** Floats of all magnitudes, with the special ones among them. */
function specialFloats(dtype: 'float32' | 'float64' | 'bfloat16' | 'float16'): Tensor {
  if (dtype === 'bfloat16' || dtype === 'float16') {
    return from_typed_array(
      Uint16Array.from({ length: 65536 }, (_, i) => i),
      [65536],
      { dtype },
    )
  }
  manual_seed(1)
  const special = [
    0,
    -0,
    Infinity,
    -Infinity,
    Number.NaN,
    5e-324,
    1e-40,
    65504,
    65519.9,
    65520,
    3.4e38,
    2 ** 31,
  ]
  const drawn = flat(randn([20_000], { dtype: 'float64' })).map((x, i) => x * 2 ** ((i % 300) - 150))
  return tensor(Float64Array.from([...special, ...special.map(x => -x), ...drawn])).to(dtype)
}

const sizes = [1, 3, 4, 5, 255, 1027, 100_003]

describeOnGpu('operations on a GPU, next to the CPU, bit by bit', () => {
  it.each(dtypes)('fill, arange, zeros and ones of %s', dtype => {
    for (const count of sizes) {
      const device = 'cuda' as const
      expectSame(full([count], 7, { dtype, device }), full([count], 7, { dtype }))
      expectSame(zeros([count], { dtype, device }), zeros([count], { dtype }))
      expectSame(ones([count], { dtype, device }), ones([count], { dtype }))
      const small = Math.min(count, 2000)
      expectSame(arange(-3, -3 + 5 * small, 5, { dtype, device }), arange(-3, -3 + 5 * small, 5, { dtype }))
    }
    expect(zeros([0, 3], { dtype, device: 'cuda' }).tolist()).toEqual([])
  })

  it.each(floats)('random numbers of %s, at every offset of the generator', dtype => {
    for (const make of [randn, rand]) {
      for (const skip of [0, 1, 2, 3]) {
        for (const count of sizes) {
          const draw = (device: 'cpu' | 'cuda') => {
            manual_seed(2n ** 63n + 5n)
            randn(skip)
            return make([count], { dtype, device })
          }
          expectSame(draw('cuda'), draw('cpu'))
        }
      }
    }
  })

  it.each(dtypes)('conversions of %s to every dtype', from => {
    const isFloat = (floats as readonly string[]).includes(from)
    const inputs = isFloat
      ? [specialFloats(from as 'float32'), randn([1027]).to(from)]
      : [
          from === 'int64'
            ? from_typed_array(
                BigInt64Array.from({ length: 5000 }, (_, i) => (i % 2 ? -1n : 1n) * 3n ** BigInt(i % 40)),
              )
            : from_typed_array(Int32Array.from({ length: 5000 }, (_, i) => Math.imul(i, 2654435761))),
        ]
    for (const input of inputs) {
      const copy = input.to('cuda')
      for (const to of dtypes) {
        // A view that starts off a vector's boundary takes another path.
        expectSame(copy.to(to), input.to(to))
        const rest = input.numel() - 1
        expectSame(copy.narrow(0, 1, rest).to(to), input.narrow(0, 1, rest).to(to))
      }
    }
  })

  it.each(dtypes)('elementwise operations of %s, with broadcasting', dtype => {
    const isFloat = (floats as readonly string[]).includes(dtype)
    const shapes = [
      [[1000], [1000]],
      [[1027], [1]],
      [[], [3, 5]],
      [
        [64, 1, 33],
        [5, 33],
      ],
      [
        [2, 3, 4, 5],
        [3, 1, 5],
      ],
      [
        [6, 8, 12],
        [8, 1],
      ],
      [
        [16, 1, 8],
        [5, 8],
      ],
      [
        [7, 1, 3, 1, 2],
        [7, 5, 1, 6, 2],
      ],
      [[0, 3], [3]],
    ] as const
    for (const [shapeA, shapeB] of shapes) {
      const make = (shape: readonly number[]) =>
        randn([...shape])
          .mul(isFloat ? 1 : 100)
          .to(dtype)
      const [a, b] = [make(shapeA), make(shapeB)]
      const names = isFloat ? (['add', 'sub', 'mul', 'div'] as const) : (['add', 'sub', 'mul'] as const)
      for (const name of names) expectSame(...onBoth([a, b], (x, y) => x[name](y)))
    }
    const x = randn(1003).mul(50).to(dtype)
    for (const number of [3, -7]) {
      expectSame(...onBoth([x], y => y.add(number)))
      expectSame(...onBoth([x], y => y.mul(number)))
      if (isFloat) expectSame(...onBoth([x], y => y.div(number)))
    }
    expectSame(...onBoth([x], y => y.neg()))
  })

  it('integers wrap as on the CPU', () => {
    const big = from_typed_array(BigInt64Array.of(2n ** 62n, -(2n ** 63n), 2n ** 63n - 1n))
    expectSame(...onBoth([big], x => x.add(x)))
    expectSame(...onBoth([big], x => x.mul(3)))
    const ints = from_typed_array(Int32Array.of(2 ** 31 - 1, -(2 ** 31), 65537))
    expectSame(...onBoth([ints], x => x.mul(x)))
    expectSame(...onBoth([ints], x => x.mul(65537)))
  })

  it.each(dtypes)('copies of rows of %s: narrow, cat, pad, clone, views', dtype => {
    for (const inner of [1, 2, 3, 8, 24]) {
      const x = arange(5 * 7 * inner, { dtype: 'int32' })
        .to(dtype)
        .view(5, 7, inner)
      expectSame(...onBoth([x], y => y.narrow(1, 2, 4)))
      expectSame(...onBoth([x], y => y.narrow(2, inner - 1, 1)))
      expectSame(...onBoth([x], y => y.narrow(0, 1, 3)))
      for (const dim of [0, 1, 2]) expectSame(...onBoth([x], y => cat([y, y, y.narrow(dim, 0, 1)], dim)))
      expectSame(...onBoth([x], y => pad(y, [1, 2, 0, 3], 5)))
      expectSame(...onBoth([x], y => y.narrow(0, 1, 4).clone()))
    }
  })

  it.each(dtypes)('index_select of %s', dtype => {
    const x = randn(9, 11, 6).mul(100).to(dtype)
    for (const dim of [0, 1, 2]) {
      const index = Array.from({ length: 50 }, (_, i) => (i * 7) % x.shape[dim]!)
      expectSame(...onBoth([x], y => y.index_select(dim, index)))
      expectSame(...onBoth([x], y => y.index_select(dim, tensor(index, { dtype: 'int32' }).to(y.device))))
    }
    expectSame(...onBoth([x], y => y.index_select(0, [])))
  })

  it.each(floats)('the gradient of index_select of %s', dtype => {
    const index = Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? 5 : (i * 17) % 101))
    for (const inner of [5, 8]) {
      const x = randn([101, 3, inner], { dtype })
      const grad = randn([index.length, 3, inner], { dtype })
      const run = (device: 'cpu' | 'cuda') => {
        const leaf = x.to(device).clone().detach()
        leaf.requires_grad = true
        leaf.index_select(0, index).backward(grad.to(device))
        return leaf.grad!
      }
      expectSame(run('cuda'), run('cpu'))
    }
  })

  it('copy_ between overlapping views, between devices, from typed arrays', () => {
    expectSame(
      ...onBoth([arange(5)], x => {
        const y = x.clone()
        y.narrow(0, 1, 4).copy_(y.narrow(0, 0, 4))
        return y
      }),
    )
    const x = zeros([3], { device: 'cuda' })
    x.copy_(tensor([1, 2, 3]))
    expect(x.tolist()).toEqual([1, 2, 3])
    x.copy_(Float32Array.of(4, 5, 6))
    expect(zeros(3).copy_(x).tolist()).toEqual([4, 5, 6])
    expect(x.narrow(0, 1, 2).to('cpu').tolist()).toEqual([5, 6])
  })
})

describeOnGpu('sums and products on a GPU', () => {
  it('sum and mean over any dimensions, of any size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(1, 2, 3, 33, 130), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 7 }),
        (shape, mask) => {
          const dims = shape.map((_, i) => i).filter(i => mask & (1 << i))
          const x = randn(shape, { dtype: 'float64' })
          const [gpu, cpu] = onBoth([x], y => y.sum(dims))
          expectClose(flat(gpu), flat(cpu))
          expectClose(flat(x.to('cuda').mean(dims)), flat(x.mean(dims)))
        },
      ),
      { numRuns: 60 },
    )
  })

  it.each([
    [[3_000_001], undefined],
    [[70_001, 3], 0],
    [[3, 70_001], 1],
    [[2, 5000, 7], 1],
    [[0, 4], 0],
  ] as const)('sum of %j along %s is exact for whole numbers, in every dtype', (shape, dim) => {
    for (const dtype of ['float32', 'float64', 'int32', 'int64'] as const) {
      const x = randn([...shape])
        .mul(3)
        .to('int32')
        .to(dtype)
      expectSame(...onBoth([x], y => y.sum(dim)))
    }
  })

  it('low precision is summed wide, and the same in every run', () => {
    const x = randn([1000, 333], { dtype: 'bfloat16', device: 'cuda' })
    const exact = x.to('float64').sum(0).to('bfloat16')
    for (let i = 0; i < 50; i++) expect(x.sum(0).equal(exact)).toBe(true)
  })

  it.each([
    ['float64', 1e-13],
    ['float32', 3e-6],
    ['bfloat16', 1 / 200],
    ['float16', 1 / 1500],
  ] as const)('matmul of %s, for all four ways to lie in memory', (dtype, tolerance) => {
    for (const [m, k, n] of [
      [1, 1, 1],
      [3, 5, 7],
      [64, 48, 50],
      [130, 513, 65],
      [4, 0, 3],
    ] as const) {
      const [a, b] = [randn([m, k], { dtype }), randn([k, n], { dtype })]
      const grad = randn([m, n], { dtype })
      const run = (device: 'cpu' | 'cuda', wide: boolean) => {
        const [x, y, g] = [a, b, grad].map(t => {
          const copy = (wide ? t.to('float64') : t).to(device).clone().detach()
          copy.requires_grad = true
          return copy
        })
        const out = x!.matmul(y!)
        out.backward(g!.detach())
        return [out, x!.grad!, y!.grad!].map(t => flat(t.to('cpu').to('float64')))
      }
      const [gpu, exact] = [run('cuda', false), run('cpu', true)]
      exact.forEach((values, i) => {
        const scale = Math.sqrt(Math.max(1, [k, n, m][i]!))
        expectClose(
          gpu[i]!.map(x => x / scale),
          values.map(x => x / scale),
          tolerance,
        )
      })
    }
  })
})
