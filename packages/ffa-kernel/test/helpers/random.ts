/** Standard normal numbers that depend on the seed alone (Park-Miller, Box-Muller). */
export function normalNumbers(seed: number): (count: number) => Float32Array {
  let state = (seed % 2147483646) + 1
  const uniform = () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
  for (let i = 0; i < 8; i++) uniform()
  return count => {
    const values = new Float32Array(count)
    for (let i = 0; i < count; i++) {
      values[i] = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
    }
    return values
  }
}
