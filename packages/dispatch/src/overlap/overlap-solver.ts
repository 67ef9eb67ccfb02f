import { ArgumentError } from '@magi-attention/common'
import { requireInteger } from '../validate.js'
import { OverlapAlg } from './overlap-alg.js'
import { checkStageCosts, type OverlapStageCost, overlapCost } from './overlap-cost.js'

export interface OverlapProblem {
  /** Of the host (place 0) and of each remote chunk. */
  readonly stage_costs: readonly OverlapStageCost[]
  /** Number of remote stages, or `null` to choose it. */
  readonly overlap_degree: number | null
  /** Most stages to choose. Default `null`: one for each entry of `stage_costs`. */
  readonly dynamic_max_degree?: number | null | undefined
}

export interface OverlapSolution {
  /** Number of remote stages. */
  readonly overlap_degree: number
  /** For each stage the places in `stage_costs`; place 0 is the host. Idle stages are empty. */
  readonly partitions: readonly (readonly number[])[]
  /** Time of the schedule, see `overlapCost`. */
  readonly overlap_cost: number
}

/** Puts the remote chunks of one rank into stages. */
export class OverlapSolver {
  readonly alg: OverlapAlg

  /** @throws `ArgumentError` for anything but an `OverlapAlg` */
  constructor(alg: OverlapAlg) {
    if (!(alg instanceof OverlapAlg)) {
      throw new ArgumentError({ argument: 'alg', expected: 'an OverlapAlg', actual: alg })
    }
    this.alg = alg
  }

  /**
   * With a given degree, the stages of the algorithm. Otherwise those of the degree with the least rounded
   * cost; of several the least degree.
   * @throws `ArgumentError` for bad costs, and for degrees that are not integers >= 1
   */
  solve({ stage_costs, overlap_degree, dynamic_max_degree = null }: OverlapProblem): OverlapSolution {
    checkStageCosts(stage_costs)
    if (overlap_degree !== null) {
      return this.solveDegree(stage_costs, requireInteger(overlap_degree, 'overlap_degree', 1))
    }
    const maxDegree =
      dynamic_max_degree === null
        ? stage_costs.length
        : requireInteger(dynamic_max_degree, 'dynamic_max_degree', 1)
    let best = this.solveDegree(stage_costs, 1)
    for (let degree = 2; degree <= maxDegree; degree++) {
      const solution = this.solveDegree(stage_costs, degree)
      if (roundHalfEven(solution.overlap_cost) < roundHalfEven(best.overlap_cost)) best = solution
    }
    return best
  }

  private solveDegree(costs: readonly OverlapStageCost[], degree: number): OverlapSolution {
    const partitions = this.alg.partition(costs, degree)
    checkPartitions(partitions, costs.length, degree)
    return { overlap_degree: degree, partitions, overlap_cost: overlapCost(costs, partitions) }
  }
}

/** As Python's `round`. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  if (value - floor !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/** Algorithms may be the user's own: a chunk in no stage would be lost without a word. */
function checkPartitions(partitions: readonly (readonly number[])[], count: number, degree: number): void {
  const places = partitions.flat().sort((a, b) => a - b)
  const isComplete = places.length === count && places.every((place, i) => place === i)
  if (isComplete && partitions.length === degree && partitions[0]!.includes(0)) return
  throw new ArgumentError({
    argument: 'alg.partition',
    expected: `${degree} stages that hold each of 0 to ${count - 1} once, 0 in the first`,
    actual: partitions,
  })
}
