import { OverlapAlg } from './overlap-alg.js'
import { type OverlapStageCost, overlapCost } from './overlap-cost.js'
import { UniformOverlapAlg } from './uniform-overlap-alg.js'

/**
 * Stages that hide their communication where they can.
 *
 * Receiving and computing are the two machines of a flow shop, so chunks are put in the order of Johnson
 * (1954), which is optimal for stages of one chunk: first those that take less time to receive than to
 * compute, cheapest to receive first; then the others, dearest to compute first. In that order a stage takes
 * chunks as long as they arrive before the stage before it is computed, and leaves one for each stage that
 * follows. Never worse, by `overlapCost`, than uniform stages, which are taken where they cost no more.
 */
export class GreedyOverlapAlg extends OverlapAlg {
  readonly uses_costs = true

  constructor() {
    super()
    Object.freeze(this)
  }

  partition(costs: readonly OverlapStageCost[], degree: number): number[][] {
    const uniform = new UniformOverlapAlg().partition(costs, degree)
    const greedy = fillStages(costs, degree)
    return overlapCost(costs, greedy) < overlapCost(costs, uniform) ? greedy : uniform
  }

  toString(): string {
    return 'GreedyOverlapAlg()'
  }
}

function fillStages(costs: readonly OverlapStageCost[], degree: number): number[][] {
  const order = johnsonOrder(costs)
  const stages = Math.min(degree, order.length)
  const partitions: number[][] = Array.from({ length: degree }, () => [])
  let next = 0
  let computing = costs[0]!.calc_cost
  for (let stage = 0; stage < stages; stage++) {
    const limit = order.length - (stages - 1 - stage)
    let comm = 0
    let calc = 0
    const first = next
    while (next < limit) {
      const { comm_cost, calc_cost } = costs[order[next]!]!
      const isLastStage = stage === stages - 1
      if (!isLastStage && next > first && comm + comm_cost > computing) break
      comm += comm_cost
      calc += calc_cost
      partitions[stage]!.push(order[next]!)
      next++
    }
    computing = calc
  }
  partitions[0]!.unshift(0)
  return partitions.map(places => places.sort((a, b) => a - b))
}

/** Places of the remote chunks. */
function johnsonOrder(costs: readonly OverlapStageCost[]): number[] {
  const early: number[] = []
  const late: number[] = []
  for (let place = 1; place < costs.length; place++) {
    const { comm_cost, calc_cost } = costs[place]!
    if (comm_cost < calc_cost) early.push(place)
    else late.push(place)
  }
  early.sort((a, b) => costs[a]!.comm_cost - costs[b]!.comm_cost || a - b)
  late.sort((a, b) => costs[b]!.calc_cost - costs[a]!.calc_cost || a - b)
  return [...early, ...late]
}
