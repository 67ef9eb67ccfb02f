import type { Jobs } from './jobs.js'

/** Rank of each job and empty seat: consecutive jobs share a rank. */
export function sequentialStart(jobs: Jobs): Int32Array {
  return dealOut(
    jobs,
    Array.from({ length: jobs.count }, (_, job) => job),
  )
}

/**
 * Folds each part of the sequence that depends on itself only, such as a document, around its middle: a rank
 * gets neighbouring jobs from its end and as many from its start. Under a causal mask each such pair of
 * blocks is equally heavy, and what the late block needs contains the early one. Of an odd number of jobs one
 * is from the middle.
 */
export function foldedStart(jobs: Jobs): Int32Array {
  const half = Math.floor(jobs.perRank / 2)
  const order: number[] = []
  for (const [first, end] of independentParts(jobs)) {
    const numMiddle = jobs.perRank % 2 === 0 ? 0 : Math.floor((end - first) / jobs.perRank)
    const lowEnd = first + Math.floor((end - first - numMiddle) / 2)
    const highEnd = lowEnd + numMiddle
    let low = first
    let high = end
    let middle = lowEnd
    while (low < lowEnd || middle < highEnd || high > highEnd) {
      for (let i = 0; i < half && high > highEnd; i++) order.push(--high)
      for (let i = 0; i < half && low < lowEnd; i++) order.push(low++)
      if (middle < highEnd) order.push(middle++)
    }
  }
  return dealOut(jobs, order)
}

/** Gives each rank the next jobs of the order; the first ranks get one more where the count does not divide. */
function dealOut({ count, numRanks, perRank }: Jobs, order: readonly number[]): Int32Array {
  const ranks = new Int32Array(numRanks * perRank)
  const numEmpty = numRanks * perRank - count
  let next = 0
  for (let rank = 0; rank < numRanks; rank++) {
    const hasEmptySeat = rank >= numRanks - numEmpty
    for (let i = hasEmptySeat ? 1 : 0; i < perRank; i++) ranks[order[next++]!] = rank
    if (hasEmptySeat) ranks[count + rank - (numRanks - numEmpty)] = rank
  }
  return ranks
}

/**
 * Consecutive jobs that need no rows of others, but for the one job at either end that two parts may share.
 */
function independentParts({ count, needs, bounds }: Jobs): [first: number, end: number][] {
  // links[i] counts the jobs whose rows or needs lie on both sides of bounds[i], as differences.
  const links = new Int32Array(count + 2)
  for (let job = 0; job < count; job++) {
    const first = needs.starts[needs.offsets[job]!]!
    const last = needs.ends[needs.offsets[job + 1]! - 1]!
    const low = Math.min(job, firstBoundFrom(bounds, first))
    const high = Math.max(job, firstBoundFrom(bounds, last + 1) - 2)
    links[low + 1]!++
    links[high + 1]!--
  }
  const parts: [number, number][] = []
  let open = 0
  let first = 0
  for (let i = 1; i <= count; i++) {
    open += links[i]!
    if (open > 0 && i < count) continue
    parts.push([first, i])
    first = i
  }
  return parts
}

/** Index of the first bound that is at least `row`. */
function firstBoundFrom(bounds: Float64Array, row: number): number {
  let low = 0
  let high = bounds.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (bounds[middle]! >= row) high = middle
    else low = middle + 1
  }
  return low
}
