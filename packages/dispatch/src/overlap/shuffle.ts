const stateSize = 624
const shift = 397

/**
 * The items in the order that Python's `random.seed(seed)` and `random.shuffle` give: Fisher and Yates'
 * shuffle with the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998).
 * @param seed - an integer >= 0
 */
export function shuffle<T>(items: readonly T[], seed: number): T[] {
  const next = mersenneTwister(seed)
  const shuffled = [...items]
  for (let i = shuffled.length - 1; i > 0; i--) {
    const bits = 32 - Math.clz32(i + 1)
    let j = next() >>> (32 - bits)
    while (j > i) j = next() >>> (32 - bits)
    const item = shuffled[i]!
    shuffled[i] = shuffled[j]!
    shuffled[j] = item
  }
  return shuffled
}

/** A source of uniform 32-bit integers. */
function mersenneTwister(seed: number): () => number {
  const state = seededState(seed)
  let index = stateSize
  return () => {
    if (index === stateSize) {
      twist(state)
      index = 0
    }
    let y = state[index++]!
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }
}

/** `init_by_array` of the reference implementation, with the 32-bit digits of the seed as its key. */
function seededState(seed: number): Uint32Array {
  const low = seed % 2 ** 32
  const high = Math.floor(seed / 2 ** 32)
  const key = high === 0 ? [low] : [low, high]
  const state = new Uint32Array(stateSize)
  state[0] = 19650218
  for (let i = 1; i < stateSize; i++) state[i] = Math.imul(1812433253, mixed(state, i)) + i
  let i = 1
  const step = (): void => {
    i++
    if (i < stateSize) return
    state[0] = state[stateSize - 1]!
    i = 1
  }
  for (let n = 0; n < stateSize; n++) {
    const j = n % key.length
    state[i] = (state[i]! ^ Math.imul(mixed(state, i), 1664525)) + key[j]! + j
    step()
  }
  for (let n = 0; n < stateSize - 1; n++) {
    state[i] = (state[i]! ^ Math.imul(mixed(state, i), 1566083941)) - i
    step()
  }
  state[0] = 0x80000000
  return state
}

function mixed(state: Uint32Array, i: number): number {
  const before = state[i - 1]!
  return before ^ (before >>> 30)
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < stateSize; i++) {
    const y = (state[i]! & 0x80000000) | (state[(i + 1) % stateSize]! & 0x7fffffff)
    state[i] = state[(i + shift) % stateSize]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
  }
}
