import type { Jobs } from './jobs.js'
import { Random } from './random.js'
import { Seating } from './seating.js'

const EPOCHS = 64
/** Epochs at most that remove what overload is left, how its price grows, and their heat: every other has none. */
const REPAIR_EPOCHS = 40
const REPAIR_GROWTH = 1.5
const REPAIR_HEAT = 0.2
/** Price of an overload by a mean job, in mean needs of a job: at first, and what is added until the end. */
const FIRST_PRICE = 3
const ADDED_PRICE = 40
/** A rank with `x` times the mean rows counts as `x + UNEVENNESS_PRICE * x^2` of them. */
const UNEVENNESS_PRICE = 0.5
/** Share of swaps that bring a job to a rank near it, and how far away the rank's own job may be. */
const NEIGHBOUR_SHARE = 0.8
const NEIGHBOUR_DISTANCE = 3
/** Jobs of which the one is taken away that keeps the balance best. */
const CANDIDATES = 4

export interface SwapSearchOptions {
  /** Number of swaps to look at. */
  readonly steps: number
  /** Rank of each job and empty seat at the start; no rank has two empty seats. */
  readonly start: Int32Array
  /** Load that no rank should exceed. */
  readonly loadLimit: number
  /** How much worse a swap may make things at first, in mean needs of a job. */
  readonly heat: number
  readonly seed: number
}

/**
 * Looks for a seating with few rows on the ranks, and returns the rank of each job and empty seat.
 *
 * Threshold accepting (Dueck and Scheuer, 1990), which is simulated annealing without exponentials: a swap of
 * two jobs is made unless it costs more than a random part of a threshold that falls to zero. What costs are
 * the rows that ranks must have, those of ranks with many more than others, and overload. Its price rises on
 * the way: a strict limit from the start would leave few ways from one good seating to another.
 *
 * Most swaps are made to lead somewhere: they bring a job to the rank of a neighbour, whose rows it likely
 * shares, and take from there the one of a few jobs that keeps the balance best.
 */
export function swapSearch(jobs: Jobs, options: SwapSearchOptions): Int32Array {
  const search = new SwapSearch(jobs, options)
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const done = epoch / (EPOCHS - 1)
    search.price(FIRST_PRICE + ADDED_PRICE * done * done)
    search.run(options.steps / EPOCHS, options.heat * jobs.meanNeed * (1 - done) * (1 - done))
  }
  let overloadPrice = FIRST_PRICE + ADDED_PRICE
  for (let epoch = 0; epoch < REPAIR_EPOCHS && search.isOverloaded(); epoch++) {
    overloadPrice *= REPAIR_GROWTH
    search.price(overloadPrice)
    search.run(options.steps / EPOCHS, epoch % 2 === 0 ? REPAIR_HEAT * jobs.meanNeed : 0)
  }
  return search.seating.rankOf
}

class SwapSearch {
  readonly seating: Seating
  private readonly random: Random
  private readonly loadLimit: number
  private readonly meanWeight: number
  private readonly cost: Float64Array
  /** 1 for ranks with an empty seat. */
  private readonly hasEmptySeat: Int8Array
  private overloadPrice = 0
  private unevennessPrice = 0

  constructor(
    private readonly jobs: Jobs,
    { start, loadLimit, seed }: SwapSearchOptions,
  ) {
    this.seating = new Seating(jobs, start)
    this.random = new Random(seed)
    this.loadLimit = loadLimit
    this.meanWeight = Math.max(1, jobs.weights.reduce((sum, weight) => sum + weight, 0) / jobs.count)
    this.cost = new Float64Array(jobs.numRanks)
    this.hasEmptySeat = new Int8Array(jobs.numRanks)
    for (let seat = jobs.count; seat < start.length; seat++) this.hasEmptySeat[start[seat]!] = 1
  }

  isOverloaded(): boolean {
    return this.seating.load.some(load => load > this.loadLimit)
  }

  /** Sets the price of an overload by a mean job, in mean needs of a job. */
  price(overloadPrice: number): void {
    const { rows, load } = this.seating
    this.overloadPrice = (overloadPrice * this.jobs.meanNeed) / this.meanWeight
    this.unevennessPrice = (UNEVENNESS_PRICE * rows.length) / rows.reduce((sum, value) => sum + value, 0)
    for (let rank = 0; rank < rows.length; rank++) this.cost[rank] = this.costOf(rows[rank]!, load[rank]!)
  }

  run(steps: number, threshold: number): void {
    for (let step = 0; step < steps; step++) this.step(threshold)
  }

  private step(threshold: number): void {
    const { random } = this
    const { rankOf } = this.seating
    const { count } = this.jobs
    const host = random.below(count)
    const added = random.next() < NEIGHBOUR_SHARE ? this.neighbourOf(host) : random.below(rankOf.length)
    if (added < 0 || added >= rankOf.length) return
    const rank = rankOf[host]!
    const other = rankOf[added]!
    if (other === rank) return
    const gone = this.bestExchange(rank, added, other)
    if (gone >= 0) this.swapIfCheaper(rank, gone, other, added, threshold * random.next())
  }

  private neighbourOf(job: number): number {
    const distance = 1 + this.random.below(2 * NEIGHBOUR_DISTANCE)
    return distance > NEIGHBOUR_DISTANCE ? job + distance - NEIGHBOUR_DISTANCE : job - distance
  }

  /** The job of a rank, out of a few, that may go to the other in exchange and overloads both least; or -1. */
  private bestExchange(rank: number, added: number, other: number): number {
    const { random, loadLimit } = this
    const { seats, load } = this.seating
    const { weights, perRank, count } = this.jobs
    let best = -1
    let leastOverload = Number.POSITIVE_INFINITY
    for (let i = 0; i < CANDIDATES && leastOverload > 0; i++) {
      const job = seats[rank * perRank + random.below(perRank)]!
      const isAllowed =
        job >= count
          ? added >= count || this.hasEmptySeat[other] === 0
          : added < count || this.hasEmptySeat[rank] === 0
      if (!isAllowed) continue
      const change = weights[added]! - weights[job]!
      const overload =
        Math.max(0, load[rank]! + change - loadLimit) + Math.max(0, load[other]! - change - loadLimit)
      if (overload < leastOverload) {
        best = job
        leastOverload = overload
      }
    }
    return best
  }

  private swapIfCheaper(rank: number, gone: number, other: number, added: number, allowance: number): void {
    const { seating, cost } = this
    const { load } = seating
    const { weights, count } = this.jobs
    const change = weights[added]! - weights[gone]!
    const limit = cost[rank]! + cost[other]! + allowance
    const rankRows = seating.rowsAfter(rank, gone, added)
    const rankCost = this.costOf(rankRows, load[rank]! + change)
    if (rankCost >= limit) return
    const otherRows = seating.rowsAfter(other, added, gone)
    const otherCost = this.costOf(otherRows, load[other]! - change)
    if (rankCost + otherCost >= limit) return
    seating.swap(gone, added)
    cost[rank] = rankCost
    cost[other] = otherCost
    if (gone >= count !== added >= count) {
      this.hasEmptySeat[rank]! ^= 1
      this.hasEmptySeat[other]! ^= 1
    }
  }

  private costOf(rows: number, load: number): number {
    const overload = load > this.loadLimit ? (load - this.loadLimit) * this.overloadPrice : 0
    return rows + this.unevennessPrice * rows * rows + overload
  }
}
