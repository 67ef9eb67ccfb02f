import { ArgumentError, describeValue } from '@magi-attention/common'
import { DispatchAlg } from './algorithms/dispatch-alg.js'
import { LocalityDispatchAlg } from './locality/locality-dispatch-alg.js'
import { requireInteger, requireOptions } from './validate.js'

export interface DispatchConfigOptions {
  /** Tokens in a chunk, the unit that is given to ranks. Default `null`: chosen from the sizes. */
  readonly chunk_size?: number | null | undefined
  /**
   * Lets ranks have different numbers of tokens, so that nothing need be padded to whole chunks on every
   * rank. Default false.
   */
  readonly uneven_shard?: boolean | undefined
  /** How chunks are given to ranks. Default: `LocalityDispatchAlg`. */
  readonly alg?: DispatchAlg | undefined
}

/** How a sequence is cut into chunks and spread over the ranks. Immutable. */
export class DispatchConfig {
  readonly chunk_size: number | null
  readonly uneven_shard: boolean
  readonly alg: DispatchAlg

  /**
   * @throws `ArgumentError` unless `chunk_size` is an integer `>= 1` or `null`, `uneven_shard` a
   *   boolean, and `alg` a dispatch algorithm
   */
  constructor(options: DispatchConfigOptions = {}) {
    requireOptions(options, 'options', 'one object { chunk_size, uneven_shard, alg }')
    const { chunk_size = null, uneven_shard = false, alg = new LocalityDispatchAlg() } = options
    this.chunk_size = chunk_size === null ? null : requireInteger(chunk_size, 'chunk_size', 1)
    if (typeof uneven_shard !== 'boolean') {
      throw new ArgumentError({ argument: 'uneven_shard', expected: 'a boolean', actual: uneven_shard })
    }
    this.uneven_shard = uneven_shard
    this.alg = requireDispatchAlg(alg)
    Object.freeze(this)
  }

  /** A key for maps: equal for equal configurations only. */
  hash(): string {
    return this.toString()
  }

  /** `"DispatchConfig(chunk_size=null, uneven_shard=false, alg=LocalityDispatchAlg(max_imbalance=1.02))"` */
  toString(): string {
    return `DispatchConfig(chunk_size=${this.chunk_size}, uneven_shard=${this.uneven_shard}, alg=${this.alg})`
  }
}

/** Returns `alg` when it is an algorithm. @throws `ArgumentError` otherwise */
export function requireDispatchAlg(alg: unknown): DispatchAlg {
  if (alg instanceof DispatchAlg) return alg
  throw new ArgumentError({
    argument: 'alg',
    expected: 'a dispatch algorithm',
    actual: typeof alg === 'function' ? `the class ${describeValue(alg)}` : alg,
    hint: 'Pass an instance, such as new MinHeapDispatchAlg().',
  })
}
