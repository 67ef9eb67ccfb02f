import { ArgumentError, DTypeError, ShapeError } from '@magi-attention/common'
import { manual_seed, nn, no_grad, randn, type Tensor, tensor, zeros } from '@magi-attention/tensor'
import { describe, expect, it } from 'vitest'
import { checkGradients, expectClose, flat } from './helpers.js'

describe('nn.Linear', () => {
  it('multiplies by the transposed weight and adds the bias', () => {
    const layer = new nn.Linear(3, 2, { dtype: 'float64' })
    no_grad(() => {
      layer.weight.copy_(Float64Array.of(1, 2, 3, 4, 5, 6))
      layer.bias!.copy_(Float64Array.of(10, 20))
    })
    const x = tensor([[1, 0, -1]], { dtype: 'float64' })
    expect(layer.forward(x).tolist()).toEqual([[8, 18]])
    expect(layer.forward(x.view(3)).tolist()).toEqual([8, 18])
    expect(layer.forward(x.view(1, 1, 3)).shape).toEqual([1, 1, 2])
  })

  it('has the gradients of x, weight and bias', () => {
    checkGradients([[2, 3], [4, 3], [4]], (x, weight, bias) => {
      const layer = Object.assign(Object.create(nn.Linear.prototype) as nn.Linear, { weight, bias })
      return layer.forward(x!)
    })
  })

  it('starts uniform within 1/sqrt(in_features)', () => {
    manual_seed(1)
    const layer = new nn.Linear(100, 200)
    const values = [...flat(layer.weight), ...flat(layer.bias!)]
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(0.1)
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length
    expectClose([variance], [0.01 / 3], 1e-4)
    manual_seed(1)
    expect(new nn.Linear(100, 200).weight.equal(layer.weight)).toBe(true)
  })

  it('trains: gradient descent fits a linear map', () => {
    manual_seed(2)
    const truth = new nn.Linear(4, 3, { dtype: 'float64' })
    const layer = new nn.Linear(4, 3, { dtype: 'float64' })
    const x = randn([64, 4], { dtype: 'float64' })
    const y = no_grad(() => truth.forward(x))
    let loss: Tensor | undefined
    for (let i = 0; i < 300; i++) {
      const error = layer.forward(x).sub(y)
      loss = error.mul(error).mean()
      layer.zero_grad()
      loss.backward()
      no_grad(() => {
        for (const parameter of layer.parameters()) parameter.copy_(parameter.sub(parameter.grad!.mul(0.5)))
      })
    }
    expect(loss!.item()).toBeLessThan(1e-12)
    expectClose(flat(layer.weight), flat(truth.weight), 1e-6)
  })

  it('parameters, without a bias and in another dtype', () => {
    const layer = new nn.Linear(2, 3, { bias: false, dtype: 'bfloat16' })
    expect([layer.bias, layer.parameters().length, layer.weight.dtype]).toEqual([null, 1, 'bfloat16'])
    expect(layer.parameters().every(parameter => parameter.requires_grad && parameter.is_leaf)).toBe(true)
  })

  it('refuses bad sizes and inputs', () => {
    expect(() => new nn.Linear(0, 2)).toThrow(ArgumentError)
    expect(() => new nn.Linear(2, 1.5)).toThrow(ArgumentError)
    expect(() => new nn.Linear(2, 2, { dtyp: 'float64' } as object)).toThrow(ArgumentError)
    expect(() => new nn.Linear(2, 2).forward(zeros(2, 3))).toThrow(ShapeError)
    expect(() => new nn.Linear(2, 2).forward(zeros([2, 2], { dtype: 'float64' }))).toThrow(DTypeError)
    expect(() => new nn.Linear(2, 2).forward([1, 2] as unknown as Tensor)).toThrow(ArgumentError)
  })
})

describe('nn.Parameter', () => {
  it('makes a leaf that requires a gradient, called with or without new', () => {
    expect(new nn.Parameter(zeros(2)).requires_grad).toBe(true)
    const result = tensor([1], { requires_grad: true }).add(1)
    const parameter = nn.Parameter(result)
    expect([parameter.is_leaf, parameter.requires_grad, parameter.item()]).toEqual([true, true, 2])
    expect(() => nn.Parameter(zeros([2], { dtype: 'int64' }))).toThrow(DTypeError)
    expect(() => nn.Parameter([1] as unknown as Tensor)).toThrow(ArgumentError)
  })
})
