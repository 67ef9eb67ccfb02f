import { IntervalUnions } from './interval-unions.js'
import type { Jobs } from './jobs.js'

/**
 * Which job sits on which rank, with what the ranks need and compute. Exchanges two jobs at a time, so that
 * every rank keeps its number of jobs and empty seats.
 */
export class Seating {
  /** Rank of each job and empty seat. */
  readonly rankOf: Int32Array
  /** The jobs and empty seats of rank `r` are `seats[r * perRank]` to `seats[(r + 1) * perRank - 1]`. */
  readonly seats: Int32Array
  /** Attended cells of each rank. */
  readonly load: Float64Array
  private readonly seatOf: Int32Array
  private readonly unions: IntervalUnions

  constructor(
    readonly jobs: Jobs,
    rankOf: Int32Array,
  ) {
    const { numRanks, perRank, needs, weights } = jobs
    this.rankOf = rankOf.slice()
    this.seats = new Int32Array(rankOf.length)
    this.seatOf = new Int32Array(rankOf.length)
    this.load = new Float64Array(numRanks)
    const seated = new Int32Array(numRanks)
    for (let job = 0; job < rankOf.length; job++) {
      const rank = rankOf[job]!
      const seat = rank * perRank + seated[rank]!++
      this.seats[seat] = job
      this.seatOf[job] = seat
      this.load[rank]! += weights[job]!
    }
    this.unions = new IntervalUnions(needs, rankOf, numRanks, perRank)
  }

  /** Rows that must be on each rank, own ones included. */
  get rows(): Float64Array {
    return this.unions.sizes
  }

  /** Rows of a rank if job `gone` left it and job `added` of another rank came. */
  rowsAfter(rank: number, gone: number, added: number): number {
    return this.unions.sizeAfter(rank, gone, added)
  }

  /** Exchanges two jobs of different ranks. */
  swap(a: number, b: number): void {
    const { rankOf, seatOf, seats, load } = this
    const { weights } = this.jobs
    const rankA = rankOf[a]!
    const rankB = rankOf[b]!
    this.unions.replace(rankA, a, b)
    this.unions.replace(rankB, b, a)
    load[rankA]! += weights[b]! - weights[a]!
    load[rankB]! += weights[a]! - weights[b]!
    rankOf[a] = rankB
    rankOf[b] = rankA
    const seatA = seatOf[a]!
    const seatB = seatOf[b]!
    seats[seatA] = b
    seats[seatB] = a
    seatOf[a] = seatB
    seatOf[b] = seatA
  }
}
