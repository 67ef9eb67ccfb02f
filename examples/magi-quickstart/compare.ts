/** Compares the results of all ranks with the same model on one rank. */
import { flex_flash_attn_func, type nn, type RangesInput, type Tensor } from '@magi-attention/api'
import { measureError } from '@magi-attention/api/reference'

export interface Model {
  readonly x: Tensor
  readonly projections: readonly [q: nn.Linear, k: nn.Linear, v: nn.Linear]
  readonly head_dim: number
  readonly sink: Tensor | null
  readonly q_ranges: RangesInput
  readonly k_ranges: RangesInput
}

/** By name: whole tensors, gradients summed up over the ranks. */
export type Results = Readonly<Record<string, Tensor>>

export interface TensorError {
  readonly name: string
  readonly shape: readonly number[]
  readonly maxAbs: number
  /** Norm of the difference over the norm of the one-rank result. */
  readonly relativeNorm: number
  /** The largest `relativeNorm` that is acceptable. */
  readonly bound: number
}

/** bfloat16 keeps 8 bits: each rounding costs 2e-3 of the norm, and gradients take several. */
const bounds: Readonly<Record<string, number>> = { lse: 1e-5 }
const defaultBound = 2e-2

/** Copies of the leaves, so that the gradients of the distributed run stay as they are. */
function copyOf(leaf: Tensor): Tensor {
  const copy = leaf.detach().clone()
  copy.requires_grad = true
  return copy
}

/** The model on one rank: what all ranks together should have found. */
export function runOnOneRank(model: Model): Results {
  const { head_dim, q_ranges, k_ranges } = model
  const x = copyOf(model.x)
  const sink = model.sink && copyOf(model.sink)
  for (const { weight, bias } of model.projections) {
    weight.zero_grad()
    bias?.zero_grad()
  }
  const [q, k, v] = model.projections.map(projection => {
    return projection.forward(x).view(x.shape[0]!, -1, head_dim)
  }) as [Tensor, Tensor, Tensor]
  const [out, { lse }] = flex_flash_attn_func({ q, k, v, q_ranges, k_ranges, sink })
  out.sum().backward()
  const [dWq, dWk, dWv] = model.projections.map(({ weight }) => weight.grad!) as [Tensor, Tensor, Tensor]
  return {
    out,
    lse,
    dx: x.grad!,
    dq_proj: dWq,
    dk_proj: dWk,
    dv_proj: dWv,
    ...(sink && { dsink: sink.grad! }),
  }
}

export function compare(results: Results, expected: Results): TensorError[] {
  return Object.entries(expected).map(([name, tensor]) => {
    const [actual, wanted] = [results[name]!, tensor].map(t => t.to_float32_array()) as [
      Float32Array,
      Float32Array,
    ]
    const { maxAbs, relativeNorm } = measureError(actual, wanted)
    return { name, shape: tensor.shape, maxAbs, relativeNorm, bound: bounds[name] ?? defaultBound }
  })
}
