import { ArgumentError } from '@magi-attention/common'
import { requireInteger, requireOptions } from '../validate.js'
import { OverlapAlg } from './overlap-alg.js'
import type { OverlapStageCost } from './overlap-cost.js'
import { shuffle } from './shuffle.js'

export interface UniformOverlapAlgOptions {
  /** Deals the remote chunks to the stages in random order instead of by position. Default false. */
  readonly random_costs?: boolean | undefined
  /**
   * Seed of that order, the one that Python's `random.seed` gives. Default `null`, which is seed 0: every
   * rank must find the same order.
   */
  readonly random_seed?: number | null | undefined
}

/**
 * Stages of equally many chunks, in order of position. The host counts as one chunk of the first stage, and
 * what cannot be divided goes to the first stages. Does not look at costs.
 */
export class UniformOverlapAlg extends OverlapAlg {
  readonly random_costs: boolean
  readonly random_seed: number | null
  readonly uses_costs = false

  /** @throws `ArgumentError` for a flag that is no boolean, or a seed that is no integer >= 0 */
  constructor(options: UniformOverlapAlgOptions = {}) {
    super()
    requireOptions(options, 'options', '{ random_costs, random_seed }')
    const { random_costs = false, random_seed = null } = options
    if (typeof random_costs !== 'boolean') {
      throw new ArgumentError({ argument: 'random_costs', expected: 'a boolean', actual: random_costs })
    }
    this.random_costs = random_costs
    this.random_seed = random_seed === null ? null : requireInteger(random_seed, 'random_seed')
    Object.freeze(this)
  }

  partition(costs: readonly OverlapStageCost[], degree: number): number[][] {
    const remote = Array.from({ length: costs.length - 1 }, (_, i) => i + 1)
    const order = [0, ...(this.random_costs ? shuffle(remote, this.random_seed ?? 0) : remote)]
    return cutEvenly(order, degree)
  }

  /** `"UniformOverlapAlg(random_costs=false, random_seed=null)"` */
  toString(): string {
    return `UniformOverlapAlg(random_costs=${this.random_costs}, random_seed=${this.random_seed})`
  }
}

/** Contiguous groups of equal size, the first ones longer by one where needed; idle groups at the end. */
function cutEvenly(order: readonly number[], degree: number): number[][] {
  const groups = Math.max(1, Math.min(degree, order.length - 1))
  const size = Math.floor(order.length / groups)
  const longer = order.length % groups
  let start = 0
  return Array.from({ length: degree }, (_, group) => {
    const end = group < groups ? start + size + (group < longer ? 1 : 0) : start
    const places = order.slice(start, end)
    start = end
    return places
  })
}
