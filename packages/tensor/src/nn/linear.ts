import { assertTensor } from '../check.js'
import { assertOptionNames, createTensor, type TensorOptions } from '../factory.js'
import { matmul } from '../ops/matmul.js'
import { fillUniform } from '../random.js'
import { assertInteger } from '../shape.js'
import type { Tensor } from '../tensor.js'

export interface LinearOptions extends Pick<TensorOptions, 'dtype' | 'device'> {
  /** Whether to add a learned bias. Default true. */
  readonly bias?: boolean | undefined
}

/**
 * `x @ weight.T + bias`. Weight and bias start uniform in ±1/sqrt(in_features), torch's default (Kaiming with
 * a = sqrt(5)).
 */
export class Linear {
  readonly in_features: number
  readonly out_features: number
  /** `[out_features, in_features]` */
  readonly weight: Tensor
  /** `[out_features]`, or null */
  readonly bias: Tensor | null

  constructor(in_features: number, out_features: number, options: LinearOptions = {}) {
    this.in_features = assertInteger('in_features', in_features, 1)
    this.out_features = assertInteger('out_features', out_features, 1)
    assertOptionNames('options', options, ['bias', 'dtype', 'device'])
    const { bias = true, dtype, device } = options
    const bound = 1 / Math.sqrt(in_features)
    const make = (shape: readonly number[]) =>
      createTensor(
        shape,
        { dtype, device, requires_grad: true },
        { dtype: 'float32', device: 'cpu' },
        out => {
          fillUniform(out, -bound, bound)
        },
      )
    this.weight = make([out_features, in_features])
    this.bias = bias ? make([out_features]) : null
  }

  /** `[..., in_features]` to `[..., out_features]`. */
  forward(x: Tensor): Tensor {
    assertTensor('x', x)
    if (x.ndim === 1) {
      using row = x.view(1, -1)
      using result = this.forward(row)
      return result.view(-1)
    }
    const product = matmul(x, this.weight, true)
    if (this.bias === null) return product
    using unbiased = product
    return unbiased.add(this.bias)
  }

  parameters(): Tensor[] {
    return this.bias === null ? [this.weight] : [this.weight, this.bias]
  }

  /** Frees the gradients of the parameters. */
  zero_grad(): void {
    for (const parameter of this.parameters()) parameter.zero_grad()
  }
}
