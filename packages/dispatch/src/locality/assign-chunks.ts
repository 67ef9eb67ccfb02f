import { ArgumentError, ShapeError } from '@magi-attention/common'
import { chunkAreas } from '../chunks/chunk-areas.js'
import { requireInteger } from '../validate.js'
import { balancedStart } from './balanced-start.js'
import { type ChunkNeedsOptions, chunkNeeds } from './chunk-needs.js'
import { groupSize, type Jobs, type JobsOptions, makeJobs } from './jobs.js'
import { Seating } from './seating.js'
import { foldedStart, sequentialStart } from './starts.js'
import { swapSearch } from './swap-search.js'
import { seatTail, tailLength } from './tail.js'

export const DEFAULT_MAX_IMBALANCE = 1.02

export interface AssignChunksOptions extends ChunkNeedsOptions {
  readonly numRanks: number
  /** Attended cells of each chunk; default: those of the bands. */
  readonly workloads?: ArrayLike<number> | undefined
  /** Largest over mean work of a rank that is accepted to receive less. Default 1.02. */
  readonly maxImbalance?: number | undefined
  /** Whether a number of chunks that does not divide by the ranks is refused. Default false. */
  readonly requireEqualCounts?: boolean | undefined
}

/**
 * Swaps looked at for each chunk (or group of chunks) in a search, and where a start is only polished. Budgets
 * are numbers of swaps and not times, so that all ranks stop at the same one.
 */
const SEARCH_STEPS = 80
const POLISH_STEPS = 20
const MIN_STEPS = 8192
/** Intervals that a search may visit, whichever is more: bounds the time where ranks hold many chunks. */
const MAX_VISITS = 16e6
const MAX_VISITS_PER_JOB = 2000
/** First threshold of a search, and of a polish, which must not lose what the start has. */
const SEARCH_HEAT = 0.8
const POLISH_HEAT = 0.05
/** Masks whose chunks need more than this share of the sequence each leave little to be won by locality. */
const DENSE_SHARE = 0.375
const SEED = 2

/**
 * Gives chunks of a self-attention sequence to ranks, so that the work is balanced and ranks receive few rows
 * of K and V from others. Each rank gets equally many chunks, or one less where these do not divide.
 *
 * A start is improved by swaps (`swapSearch`). No rank computes more than `maxImbalance` times the mean
 * unless the best that plain balancing finds is worse. Under dense masks, such as one causal triangle, every
 * rank needs most of the sequence whatever it holds: there the work is never less balanced than
 * `MinHeapDispatchAlg` balances it.
 *
 * A pure function: the same on every rank.
 *
 * @returns the rank of each chunk, `[ceil(totalTokens / chunkSize)]`
 * @throws `ArgumentError` for sizes that are not integers, a `maxImbalance` below 1, or a number of
 *   chunks that does not divide where that is required
 * @throws `InvalidRangeError` for rows or keys outside of `[0, totalTokens)`
 * @throws `ShapeError` for another number of workloads than chunks
 */
export function assignChunks(options: AssignChunksOptions): Int32Array {
  const { totalTokens, chunkSize, maxImbalance = DEFAULT_MAX_IMBALANCE } = options
  const bands = [...options.bands]
  const numRanks = requireInteger(options.numRanks, 'numRanks', 1)
  requireMaxImbalance(maxImbalance, 'maxImbalance')
  const needs = chunkNeeds({ bands, totalTokens, chunkSize })
  const workloads =
    options.workloads ?? chunkAreas({ bands, total_seqlen: totalTokens, chunk_size: chunkSize })
  const numChunks = needs.offsets.length - 1
  checkWorkloads(workloads, numChunks)
  if (options.requireEqualCounts === true && numChunks % numRanks !== 0) {
    throw new ArgumentError({
      argument: 'numRanks',
      expected: `a divisor of the ${numChunks} chunks`,
      actual: numRanks,
      hint: 'Pad the sequence, or change chunkSize.',
    })
  }
  if (numRanks === 1 || numChunks === 0) return new Int32Array(numChunks)

  const all = { needs, workloads, numRanks, totalTokens, chunkSize }
  const numTail = tailLength(numChunks, numRanks)
  const chunksPerJob = numTail === 0 && numChunks % numRanks === 0 ? groupSize(numChunks / numRanks) : 1
  const jobs = makeJobs({ ...all, chunksPerJob })
  const limit = (maxImbalance * jobs.weights.reduce((sum, weight) => sum + weight, 0)) / numRanks
  if (numTail > 0) {
    const search = (wanted: number) => seatHeadAndTail(all, jobs, numTail, wanted)
    return chunksOf(bestSeating(jobs, totalTokens, limit, search), numChunks)
  }
  const seating = bestSeating(jobs, totalTokens, limit)
  if (chunksPerJob === 1 || largest(seating.load) <= limit) return chunksOf(seating, numChunks)
  // Groups are too coarse where the work of the sequence lies in a few of its chunks.
  return chunksOf(bestSeating(makeJobs({ ...all, chunksPerJob: 1 }), totalTokens, limit), numChunks)
}

/** The rank of each chunk. */
function chunksOf({ rankOf, jobs: { chunksPerJob } }: Seating, numChunks: number): Int32Array {
  return Int32Array.from({ length: numChunks }, (_, chunk) => rankOf[Math.floor(chunk / chunksPerJob)]!)
}

/** The head is searched in groups of chunks, with room for what the tail adds to each rank. */
function seatHeadAndTail(
  all: Omit<JobsOptions, 'chunksPerJob'>,
  jobs: Jobs,
  numTail: number,
  wanted: number,
): Int32Array {
  const { needs, numRanks, totalTokens } = all
  const numHead = jobs.count - numTail
  const room = heaviest(jobs.weights.subarray(numHead, jobs.count), Math.ceil(numTail / numRanks))
  const head = makeJobs({
    ...all,
    needs: { ...needs, offsets: needs.offsets.subarray(0, numHead + 1) },
    workloads: jobs.weights.subarray(0, numHead),
    chunksPerJob: groupSize(numHead / numRanks),
  })
  return seatTail(jobs, chunksOf(bestSeating(head, totalTokens, wanted - room), numHead), wanted)
}

function heaviest(weights: Float64Array, count: number): number {
  return weights
    .slice()
    .sort()
    .subarray(-count)
    .reduce((sum, weight) => sum + weight, 0)
}

/** @throws `ArgumentError` unless `value` is a finite number `>= 1` */
export function requireMaxImbalance(value: unknown, argument: string): number {
  if (Number.isFinite(value) && (value as number) >= 1) return value as number
  throw new ArgumentError({ argument, expected: 'a finite number >= 1', actual: value })
}

/**
 * @param limit load that no rank should exceed
 * @param search in place of swaps: gets the limit, returns the rank of each job and empty seat
 */
function bestSeating(
  jobs: Jobs,
  totalTokens: number,
  limit: number,
  search?: (limit: number) => Int32Array,
): Seating {
  const sequential = new Seating(jobs, sequentialStart(jobs))
  const folded = new Seating(jobs, foldedStart(jobs))
  const balanced = new Seating(jobs, balancedStart(jobs))
  const balancedMax = largest(balanced.load)
  const isDense = jobs.meanNeed > DENSE_SHARE * totalTokens
  const wanted = Math.min(limit, isDense ? balancedMax : Number.POSITIVE_INFINITY)

  const bySwaps = () => searchBySwaps(jobs, { sequential, folded, balanced }, isDense, wanted)
  const found = search?.(wanted) ?? bySwaps()
  // Of equally good ones the plainest: under a full mask, for example, any is as good as consecutive chunks.
  const candidates = [sequential, folded, balanced, new Seating(jobs, found)]
  return fewestRows(candidates, wanted) ?? fewestRows(candidates, balancedMax)!
}

interface Starts {
  readonly sequential: Seating
  readonly folded: Seating
  readonly balanced: Seating
}

function searchBySwaps(
  jobs: Jobs,
  { sequential, folded, balanced }: Starts,
  isDense: boolean,
  wanted: number,
): Int32Array {
  const local = fewestRows([sequential, folded], wanted)
  const isPolish = local !== undefined || isDense
  const steps = Math.max(MIN_STEPS, (isPolish ? POLISH_STEPS : SEARCH_STEPS) * jobs.count)
  // Few intervals are visited to look at a swap, all of a rank to make one: one in about four is made.
  const visitsPerStep = 16 + (jobs.perRank * (jobs.needs.starts.length / jobs.count)) / 2
  return swapSearch(jobs, {
    steps: Math.floor(Math.min(steps, Math.max(MAX_VISITS, MAX_VISITS_PER_JOB * jobs.count) / visitsPerStep)),
    start: (local ?? (isDense ? balanced : sequential)).rankOf,
    loadLimit: wanted,
    heat: isPolish ? POLISH_HEAT : SEARCH_HEAT,
    seed: SEED,
  })
}

/** The first of those seatings with the fewest rows whose ranks stay within the limit. */
function fewestRows(seatings: readonly Seating[], loadLimit: number): Seating | undefined {
  let best: Seating | undefined
  for (const seating of seatings) {
    if (largest(seating.load) > loadLimit) continue
    if (best === undefined || totalRows(seating) < totalRows(best)) best = seating
  }
  return best
}

function totalRows({ rows }: Seating): number {
  return rows.reduce((sum, value) => sum + value, 0)
}

function largest(values: Float64Array): number {
  return values.reduce((a, b) => Math.max(a, b))
}

function checkWorkloads(workloads: ArrayLike<number>, numChunks: number): void {
  if (workloads.length !== numChunks) {
    throw new ShapeError({
      argument: 'workloads',
      expected: `one entry for each of ${numChunks} chunks`,
      actual: workloads.length,
    })
  }
  for (let i = 0; i < numChunks; i++) requireInteger(workloads[i], `workloads[${i}]`)
}
