import { groupSize, type Jobs } from './jobs.js'
import { RowSet } from './row-set.js'

/** Chunks that each rank may get from the tail, beside one where the chunks do not divide. */
const MAX_TAIL_PER_RANK = 3
/** Ranks that are looked at for a chunk. */
const CANDIDATES = 64

/**
 * How many chunks at the end of the sequence are left out of the search, so that those before them divide into equally
 * many groups of chunks for each rank. 0 where all do, and where ranks have so few that no groups are needed.
 */
export function tailLength(numChunks: number, numRanks: number): number {
  const perRank = Math.floor(numChunks / numRanks)
  const remainder = numChunks % numRanks
  if (remainder === 0 && groupSize(perRank) > 1) return 0
  let best = 0
  let bestSize = 1
  for (let left = 0; left <= Math.min(MAX_TAIL_PER_RANK, perRank - 1); left++) {
    const size = groupSize(perRank - left)
    if (size <= bestSize) continue
    best = left * numRanks + remainder
    bestSize = size
  }
  return best
}

/**
 * Gives the chunks of the tail to ranks, the heaviest first: each goes where it adds the fewest rows, of the lightest
 * ranks that have a seat left and stay within the limit.
 *
 * @param jobs one for each chunk
 * @param rankOfHead the ranks of the chunks before the tail, equally many for each
 * @returns the rank of each job and empty seat
 */
export function seatTail(jobs: Jobs, rankOfHead: Int32Array, limit: number): Int32Array {
  const { count, numRanks, perRank, needs, weights } = jobs
  const ranks = new Int32Array(numRanks * perRank)
  ranks.set(rankOfHead)
  const load = new Float64Array(numRanks)
  const taken = new Int32Array(numRanks)
  const rows = Array.from({ length: numRanks }, () => new RowSet())
  const seat = (job: number, rank: number) => {
    ranks[job] = rank
    load[rank]! += weights[job]!
    taken[rank]!++
    rows[rank]!.add(needs, job)
  }
  rankOfHead.forEach((rank, job) => {
    seat(job, rank)
  })

  // Of the ranks, as many as have empty seats get one job less.
  let fullSeats = numRanks - (numRanks * perRank - count)
  const hasSeat = (rank: number) =>
    taken[rank]! < perRank - 1 || (taken[rank] === perRank - 1 && fullSeats > 0)
  const tail = Array.from({ length: count - rankOfHead.length }, (_, i) => rankOfHead.length + i)
  tail.sort((a, b) => weights[b]! - weights[a]! || b - a)
  const byLoad = Array.from({ length: numRanks }, (_, rank) => rank)
  for (const job of tail) {
    byLoad.sort((a, b) => load[a]! - load[b]! || a - b)
    const free = byLoad.filter(hasSeat)
    const lightest = free
      .slice(0, CANDIDATES)
      .filter((rank, i) => i === 0 || load[rank]! + weights[job]! <= limit)
    let best = lightest[0]!
    let fewest = Number.POSITIVE_INFINITY
    for (const rank of lightest) {
      const added = rows[rank]!.countAdded(needs, job)
      if (added >= fewest) continue
      best = rank
      fewest = added
    }
    if (taken[best] === perRank - 1) fullSeats--
    seat(job, best)
  }
  let empty = count
  for (let rank = 0; rank < numRanks; rank++) if (taken[rank]! < perRank) ranks[empty++] = rank
  return ranks
}
