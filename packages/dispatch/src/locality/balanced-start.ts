import { BucketHeap } from '../algorithms/bucket-heap.js'
import type { Jobs } from './jobs.js'

/**
 * Rank of each job and empty seat: the heaviest job that is left goes to the lightest rank with a free seat,
 * whatever it needs. As `MinHeapDispatchAlg`, but numbers of jobs differ by one at most.
 */
export function balancedStart({
  count,
  numRanks,
  perRank,
  weights,
}: Pick<Jobs, 'count' | 'numRanks' | 'perRank' | 'weights'>): Int32Array {
  const order = new Int32Array(count).map((_, job) => job)
  order.sort((a, b) => weights[b]! - weights[a]! || b - a)
  const ranks = new Int32Array(numRanks * perRank)
  const taken = new Int32Array(numRanks)
  const numEmpty = numRanks * perRank - count
  let numFull = 0
  const heap = BucketHeap.withAll(numRanks)
  for (const job of order) {
    let bucket = heap.pop()!
    while (taken[bucket.index] === perRank - 1 && numFull === numRanks - numEmpty) bucket = heap.pop()!
    const rank = bucket.index
    ranks[job] = rank
    taken[rank]!++
    if (taken[rank] === perRank) numFull++
    else heap.push({ load: bucket.load + weights[job]!, index: rank })
  }
  let emptySeat = count
  for (let rank = 0; rank < numRanks; rank++) if (taken[rank]! < perRank) ranks[emptySeat++] = rank
  return ranks
}
