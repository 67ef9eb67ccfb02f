import { ArgumentError, ShapeError } from '@magi-attention/common'
import { chunkAreas } from '../chunks/chunk-areas.js'
import { requireInteger } from '../validate.js'
import { type ChunkNeedsOptions, chunkNeeds } from './chunk-needs.js'
import { IntervalListsBuilder } from './interval-lists.js'

export interface ReceivedRowsOptions extends ChunkNeedsOptions {
  /** Rank of each chunk, `[ceil(totalTokens / chunkSize)]`. */
  readonly rankOfChunk: ArrayLike<number>
  readonly numRanks: number
  /** Attended cells of each chunk; default: those of the bands. */
  readonly workloads?: ArrayLike<number> | undefined
}

/** What an assignment of chunks to ranks costs. */
export interface ReceivedRows {
  /** Rows of K that each rank's queries attend to and other ranks own, each counted once, `[numRanks]`. */
  readonly perRank: Float64Array
  readonly mean: number
  readonly max: number
  /** Attended cells of each rank, `[numRanks]`. */
  readonly work: Float64Array
  /** Largest over mean of `work`; 1 for a mask without cells. */
  readonly imbalance: number
}

/**
 * Counts exactly what an assignment makes each rank receive and compute.
 * @throws `ArgumentError` for sizes or ranks that are not integers in their bounds
 * @throws `ShapeError` for another number of chunks
 */
export function receivedRows(options: ReceivedRowsOptions): ReceivedRows {
  const { bands: givenBands, totalTokens, chunkSize, rankOfChunk } = options
  const bands = [...givenBands]
  const numRanks = requireInteger(options.numRanks, 'numRanks', 1)
  const needs = chunkNeeds({ bands, totalTokens, chunkSize })
  const workloads =
    options.workloads ?? chunkAreas({ bands, total_seqlen: totalTokens, chunk_size: chunkSize })
  const numChunks = needs.offsets.length - 1
  for (const [argument, list] of Object.entries({ rankOfChunk, workloads })) {
    if (list.length === numChunks) continue
    throw new ShapeError({
      argument,
      expected: `one entry for each of ${numChunks} chunks`,
      actual: list.length,
    })
  }

  // Needed rows are those of needs and own rows together, less the own rows: these are always there.
  const needed = new IntervalListsBuilder(numRanks)
  const perRank = new Float64Array(numRanks)
  const work = new Float64Array(numRanks)
  for (let chunk = 0; chunk < numChunks; chunk++) {
    const rank = requireInteger(rankOfChunk[chunk], `rankOfChunk[${chunk}]`)
    if (rank >= numRanks) {
      throw new ArgumentError({
        argument: `rankOfChunk[${chunk}]`,
        expected: `a rank below ${numRanks}`,
        actual: rank,
      })
    }
    const start = chunk * chunkSize
    const end = Math.min(totalTokens, start + chunkSize)
    needed.add(rank, start, end)
    perRank[rank]! -= end - start
    work[rank]! += workloads[chunk]!
    for (let i = needs.offsets[chunk]!; i < needs.offsets[chunk + 1]!; i++) {
      needed.add(rank, needs.starts[i]!, needs.ends[i]!)
    }
  }
  const { offsets, starts, ends } = needed.build()
  for (let rank = 0; rank < numRanks; rank++) {
    for (let i = offsets[rank]!; i < offsets[rank + 1]!; i++) perRank[rank]! += ends[i]! - starts[i]!
  }
  const total = sum(work)
  return {
    perRank,
    mean: sum(perRank) / numRanks,
    max: largest(perRank),
    work,
    imbalance: total === 0 ? 1 : (largest(work) * numRanks) / total,
  }
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0)
}

function largest(values: Float64Array): number {
  return values.reduce((a, b) => Math.max(a, b))
}
