import type { OverlapStageCost } from './overlap-cost.js'

/** How the remote chunks of a rank are put into stages. Immutable. */
export abstract class OverlapAlg {
  /** Whether `partition` looks at the costs, and not only at their number. */
  abstract readonly uses_costs: boolean

  /**
   * Puts the places of `costs` into stages.
   * @param costs - of the host (place 0) and of each remote chunk
   * @param degree - number of stages, at least 1
   * @returns `degree` lists that hold each place once; place 0 is in the first one; a stage that has nothing
   *   to do is empty
   */
  abstract partition(costs: readonly OverlapStageCost[], degree: number): number[][]

  /** Names the algorithm and its options: algorithms of equal texts choose equal stages. Used in cache keys. */
  abstract toString(): string
}
