import { manual_seed, randn, type Tensor, tidy } from '@magi-attention/tensor'
import { expect } from 'vitest'

/** All values of a tensor, flat. */
export function flat(x: Tensor): number[] {
  return Array.from(x.to_typed_array() as ArrayLike<number | bigint>, Number)
}

export function expectClose(actual: readonly number[], expected: readonly number[], tolerance = 1e-12): void {
  expect(actual.length).toBe(expected.length)
  actual.forEach((value, i) => {
    const scale = Math.max(1, Math.abs(expected[i]!))
    if (!(Math.abs(value - expected[i]!) <= tolerance * scale)) {
      expect.fail(`value ${i}: got ${value}, expected ${expected[i]}`)
    }
  })
}

/** The flat index of an element of `from`, read at position `position` of the broadcast shape `to`. */
export function broadcastIndex(from: readonly number[], to: readonly number[], position: number): number {
  let index = 0
  let stride = 1
  let rest = position
  for (let i = to.length - 1; i >= 0; i--) {
    const at = rest % to[i]!
    rest = Math.floor(rest / to[i]!)
    const own = i - (to.length - from.length)
    if (own < 0) continue
    if (from[own] !== 1) index += at * stride
    stride *= from[own]!
  }
  return index
}

/**
 * Compares the gradients of `sum(weights * fn(inputs))` with central differences in float64. The inputs have the given
 * shapes and random values, moved away from zero so that quotients are tame.
 */
export function checkGradients(
  shapes: readonly (readonly number[])[],
  fn: (...inputs: Tensor[]) => Tensor,
): void {
  manual_seed(5)
  const inputs = shapes.map(shape => {
    const values = randn(shape, { dtype: 'float64' })
    const array = values.typed_array() as Float64Array
    array.forEach((value, i) => {
      array[i] = value + (value < 0 ? -1 : 1)
    })
    values.requires_grad = true
    return values
  })
  const weights = tidy(() => randn(fn(...inputs).shape, { dtype: 'float64' }))
  const loss = () =>
    fn(...inputs)
      .mul(weights)
      .sum()
  const step = 1e-5
  tidy(() => loss().backward())
  inputs.forEach((input, index) => {
    const array = input.typed_array() as Float64Array
    const numeric = Array.from(array, (value, i) => {
      array[i] = value + step
      const above = tidy(() => loss().item())
      array[i] = value - step
      const below = tidy(() => loss().item())
      array[i] = value
      return (above - below) / (2 * step)
    })
    expect(input.grad, `gradient of input ${index}`).not.toBeNull()
    expect(input.grad!.shape).toEqual(input.shape)
    expectClose(flat(input.grad!), numeric, 1e-7)
  })
  for (const used of [...inputs, weights]) used.dispose()
}
