import { type IntervalLists, IntervalListsBuilder } from './interval-lists.js'

/** More intervals in a job than this are joined over their smallest gaps: the search gets no better by them. */
const MAX_INTERVALS = 8
/** Ranks with more chunks than twice this handle neighbouring chunks as one job. */
const MIN_JOBS_PER_RANK = 32

/**
 * What the search moves between ranks: chunks, or groups of neighbouring chunks, and one empty seat for each
 * rank that has a job less than others. All ranks have `perRank` jobs and seats together.
 */
export interface Jobs {
  readonly numRanks: number
  readonly perRank: number
  /** Jobs with chunks; ids from here up to `numRanks * perRank - 1` are empty seats. */
  readonly count: number
  /** Chunks in a job. */
  readonly chunksPerJob: number
  /** Attended cells, `[numRanks * perRank]`. */
  readonly weights: Float64Array
  /** Rows that must be on the rank: the keys that are attended to and the job's own rows. */
  readonly needs: IntervalLists
  /** First own row of each job, and the end of the last one, `[count + 1]`. */
  readonly bounds: Float64Array
  /** Mean number of needed rows of a job. */
  readonly meanNeed: number
}

export interface JobsOptions {
  readonly needs: IntervalLists
  readonly workloads: ArrayLike<number>
  readonly numRanks: number
  readonly totalTokens: number
  readonly chunkSize: number
  /** A divisor of the number of chunks. */
  readonly chunksPerJob: number
}

export function makeJobs(options: JobsOptions): Jobs {
  const { needs, workloads, numRanks, totalTokens, chunkSize, chunksPerJob } = options
  const numChunks = needs.offsets.length - 1
  const count = numChunks / chunksPerJob
  const perRank = Math.ceil(count / numRanks)
  const weights = new Float64Array(numRanks * perRank)
  const bounds = new Float64Array(count + 1)
  const lists = new IntervalListsBuilder(numRanks * perRank)
  for (let chunk = 0; chunk < numChunks; chunk++) {
    const job = Math.floor(chunk / chunksPerJob)
    weights[job]! += workloads[chunk]!
    for (let i = needs.offsets[chunk]!; i < needs.offsets[chunk + 1]!; i++) {
      lists.add(job, needs.starts[i]!, needs.ends[i]!)
    }
  }
  for (let job = 0; job < count; job++) {
    bounds[job] = job * chunksPerJob * chunkSize
    bounds[job + 1] = Math.min(totalTokens, (job + 1) * chunksPerJob * chunkSize)
    lists.add(job, bounds[job]!, bounds[job + 1]!)
  }
  const jobNeeds = lists.build(MAX_INTERVALS)
  const needed = jobNeeds.ends.reduce((sum, end, i) => sum + end - jobNeeds.starts[i]!, 0)
  return {
    numRanks,
    perRank,
    count,
    chunksPerJob,
    weights,
    needs: jobNeeds,
    bounds,
    meanNeed: needed / count,
  }
}

/**
 * The greatest divisor that leaves enough jobs for a rank to be balanced well, and an even number of them if
 * that of its chunks is even: such ranks can pair equally many late and early jobs.
 */
export function groupSize(chunksPerRank: number): number {
  const unit = chunksPerRank % 2 === 0 ? chunksPerRank / 2 : chunksPerRank
  let size = Math.floor(chunksPerRank / MIN_JOBS_PER_RANK)
  while (size > 1 && unit % size !== 0) size--
  return Math.max(1, size)
}
