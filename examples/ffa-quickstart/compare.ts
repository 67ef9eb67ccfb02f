/** Compares the results with float64 attention, on rows for which that takes a second instead of twenty. */
import { Progress, type Tensor } from '@magi-attention/api'
import { measureError, ref_attn_func } from '@magi-attention/api/reference'

interface Results {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly grad_out: Tensor
  readonly sink: Tensor | null
  readonly out: Tensor
  readonly lse: Tensor
  readonly dq: Tensor
  readonly dk: Tensor
  readonly dv: Tensor
}

export interface Comparison {
  /** What was compared, as a sentence. */
  readonly compared: string
  readonly errors: readonly TensorError[]
}

export interface TensorError {
  readonly name: string
  readonly maxAbs: number
  /** Norm of the error over the norm of the reference. */
  readonly relativeNorm: number
  /** The largest `relativeNorm` that is acceptable. */
  readonly bound: number
}

/** bfloat16 keeps 8 bits, so rounding alone costs 2e-3; lse is float32. */
const bounds = { out: 5e-3, lse: 1e-5, dq: 1e-2, dk: 1e-2, dv: 1e-2 }
type Name = keyof typeof bounds

const numSpread = 64
const numLast = 64

/**
 * Every 32nd query, and the last 64 queries with the last 64 keys: nobody but those queries sees those keys, so
 * their gradients need no other row.
 */
export function compareWithReference(results: Results): Comparison {
  const total = results.q.shape[0]!
  const stride = total / numSpread
  const progress = new Progress('Comparing with the float64 reference', { total: 2 })
  const spread = Array.from({ length: numSpread }, (_, index) => index * stride)
  const parts = [compareRows(results, spread, ['out', 'lse', 'dq'])]
  progress.update()
  const last = Array.from({ length: numLast }, (_, index) => total - numLast + index)
  parts.push(compareRows(results, last, ['out', 'lse', 'dq', 'dk', 'dv']))
  progress.stop()

  const names = Object.keys(bounds) as Name[]
  const errors = names.map(name => {
    const measures = parts.flatMap(part => part[name] ?? [])
    const maxAbs = Math.max(...measures.map(measure => measure.maxAbs))
    const relativeNorm = Math.max(...measures.map(measure => measure.relativeNorm))
    return { name, maxAbs, relativeNorm, bound: bounds[name] }
  })
  const compared =
    `Compared with float64: out, lse and dq of ${numSpread} queries spread over the sequence and of the last\n` +
    `${numLast}, dk and dv of the last ${numLast} keys. dsink sums over all queries and is left out.`
  return { compared, errors }
}

/** The reference of some queries: each becomes a slice of its own over the keys that it sees. */
function compareRows(results: Results, rows: readonly number[], names: readonly Name[]) {
  const { k, v, sink } = results
  const pick = (x: Tensor) => x.detach().index_select(0, rows)
  const reference = ref_attn_func({
    q: pick(results.q),
    k,
    v,
    q_ranges: rows.map((_, position) => [position, position + 1] as const),
    k_ranges: rows.map(row => [0, row < 1024 ? 1024 : row + 1] as const),
    sink,
    grad_out: pick(results.grad_out),
  })
  const expected = { out: reference.out, lse: reference.lse, ...reference.grads! }
  const measured = names.map(name => {
    const isKey = name === 'dk' || name === 'dv'
    const actual = isKey ? results[name].narrow(0, k.shape[0]! - numLast, numLast) : pick(results[name])
    const values = isKey ? expected[name].slice(-actual.numel()) : expected[name]
    return [name, measureError(actual.to_float32_array(), values)] as const
  })
  return Object.fromEntries(measured) as Partial<Record<Name, ReturnType<typeof measureError>>>
}
