import { tensorLibrary } from './cpu/tensor-library.js'
import { assertInteger } from './shape.js'

let requested = 0

/**
 * Sets how many threads CPU operations use. Results do not depend on it.
 * @throws ArgumentError unless `n` is an integer of at least 1
 */
export function set_num_threads(n: number): void {
  requested = Math.min(assertInteger('n', n, 1), 2 ** 31 - 1)
}

/** Threads that CPU operations use. Default: MAGI_ATTENTION_NUM_THREADS, else the cores that the process may use. */
export function get_num_threads(): number {
  return requested === 0 ? tensorLibrary().defaultNumThreads() : requested
}

/** The number for native calls: 0 stands for the library's default. */
export function num_threads(): number {
  return requested
}
