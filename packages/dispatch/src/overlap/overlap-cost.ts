import { ArgumentError } from '@magi-attention/common'

/** What a piece of work costs, in any one unit of time. Entry 0 of a list is the host, the rest are remote chunks. */
export interface OverlapStageCost {
  /** Time to receive its keys; 0 for the host. */
  readonly comm_cost: number
  /** Time to compute its cells. */
  readonly calc_cost: number
}

/**
 * Time of a schedule in which each stage is received while the one before it is computed, and the first one
 * while the host part is:
 * `Σ_g max(comm(g), calc(g - 1)) + calc(last)`, with `calc(-1)` the host's.
 *
 * @param partitions - for each stage the places in `costs`; place 0, the host, adds nothing to its stage
 */
export function overlapCost(
  costs: readonly OverlapStageCost[],
  partitions: readonly (readonly number[])[],
): number {
  let cost = 0
  let computing = costs[0]?.calc_cost ?? 0
  for (const places of partitions) {
    let comm = 0
    let calc = 0
    for (const place of places) {
      if (place === 0) continue
      comm += costs[place]!.comm_cost
      calc += costs[place]!.calc_cost
    }
    cost += Math.max(comm, computing)
    computing = calc
  }
  return cost + computing
}

/** @throws `ArgumentError` unless there is a host, and every cost is a finite number >= 0 */
export function checkStageCosts(costs: readonly OverlapStageCost[]): void {
  if (!Array.isArray(costs) || costs.length === 0) {
    throw new ArgumentError({
      argument: 'stage_costs',
      expected: 'the costs of the host and of each remote chunk',
      actual: costs,
    })
  }
  costs.forEach((cost: OverlapStageCost, i) => {
    for (const key of ['comm_cost', 'calc_cost'] as const) {
      const value: unknown = cost?.[key]
      if (typeof value === 'number' && value >= 0 && value < Number.POSITIVE_INFINITY) continue
      throw new ArgumentError({
        argument: `stage_costs[${i}].${key}`,
        expected: 'a finite number >= 0',
        actual: value,
      })
    }
  })
}
