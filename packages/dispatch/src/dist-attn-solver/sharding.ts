import { ArgumentError, AttnRanges, IndexError } from '@magi-attention/common'
import { requireInteger, requireOptions } from '../validate.js'

/** Which tokens lie on which rank. A `DispatchMeta` is one. */
export interface ShardingOptions {
  /** Number of tokens on all ranks. */
  readonly total_seqlen: number
  /** Tokens in a chunk; the last chunk holds what is left. */
  readonly chunk_size: number
  /** For each rank its chunks, ascending. Every chunk is on exactly one rank. */
  readonly partitions: readonly (readonly number[])[]
}

/**
 * A sequence spread over ranks, as runs: maximal stretches of tokens that lie together on one rank. The
 * buffer of a rank holds its runs one behind the other, ascending.
 */
export class Sharding {
  readonly total_seqlen: number
  readonly cp_size: number
  /** First token of each run, ascending; the runs cover the sequence without gaps, `[num_runs]`. */
  readonly runStarts: Float64Array
  /** One past the last token of each run, `[num_runs]`. */
  readonly runEnds: Float64Array
  /** The rank that holds each run, `[num_runs]`. */
  readonly runRanks: Int32Array
  /** Where each run begins in the buffer of its rank, `[num_runs]`. */
  readonly runLocals: Float64Array
  private readonly runsPerRank: readonly number[][]
  private readonly seqlens: Float64Array

  /**
   * @param argument - name to use in the errors
   * @throws `ArgumentError` for sizes that are not positive integers, and unless the partitions hold
   *   every chunk exactly once, ascending for each rank
   */
  constructor(options: ShardingOptions, argument = 'dispatch_meta') {
    requireOptions(options, argument, 'total_seqlen, chunk_size and partitions')
    const { total_seqlen, chunk_size, partitions } = options
    this.total_seqlen = requireInteger(total_seqlen, `${argument}.total_seqlen`, 1)
    requireInteger(chunk_size, `${argument}.chunk_size`, 1)
    const owners = ownersOf(partitions, Math.ceil(total_seqlen / chunk_size), `${argument}.partitions`)
    this.cp_size = partitions.length

    const firstChunks: number[] = []
    owners.forEach((rank, chunk) => {
      if (chunk === 0 || rank !== owners[chunk - 1]) firstChunks.push(chunk)
    })
    const count = firstChunks.length
    this.runStarts = Float64Array.from(firstChunks, chunk => chunk * chunk_size)
    this.runEnds = new Float64Array(count)
    this.runRanks = Int32Array.from(firstChunks, chunk => owners[chunk]!)
    this.runLocals = new Float64Array(count)
    this.runsPerRank = partitions.map(() => [])
    this.seqlens = new Float64Array(this.cp_size)
    for (let run = 0; run < count; run++) {
      const rank = this.runRanks[run]!
      this.runEnds[run] = run + 1 < count ? this.runStarts[run + 1]! : total_seqlen
      this.runLocals[run] = this.seqlens[rank]!
      this.seqlens[rank]! += this.runEnds[run]! - this.runStarts[run]!
      this.runsPerRank[rank]!.push(run)
    }
  }

  /** Ids of the runs of a rank, ascending. @throws `IndexError` for a rank that does not exist */
  runsOf(rank: number): readonly number[] {
    const runs = this.runsPerRank[rank]
    if (runs !== undefined) return runs
    throw new IndexError({ argument: 'rank', expected: `a rank below ${this.cp_size}`, actual: rank })
  }

  /** Number of tokens on a rank. @throws `IndexError` for a rank that does not exist */
  seqlenOf(rank: number): number {
    this.runsOf(rank)
    return this.seqlens[rank]!
  }

  /** The tokens of a rank, merged. @throws `IndexError` for a rank that does not exist */
  rangesOf(rank: number): AttnRanges {
    const runs = this.runsOf(rank)
    return AttnRanges.from_ranges(runs.map(run => [this.runStarts[run]!, this.runEnds[run]!] as const))
  }

  /** The run that holds a token. */
  runAt(position: number): number {
    let low = 0
    let high = this.runEnds.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.runEnds[middle]! > position) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** The rank of each chunk. */
function ownersOf(
  partitions: ShardingOptions['partitions'],
  numChunks: number,
  argument: string,
): Int32Array {
  if (!Array.isArray(partitions) || partitions.length === 0) {
    throw new ArgumentError({ argument, expected: 'a list of chunks for each rank', actual: partitions })
  }
  const owners = new Int32Array(numChunks).fill(-1)
  partitions.forEach((chunks: readonly number[], rank) => {
    let last = -1
    for (const chunk of chunks) {
      if (!Number.isInteger(chunk) || chunk <= last || chunk >= numChunks) {
        throw new ArgumentError({
          argument: `${argument}[${rank}]`,
          expected: `ascending chunks below ${numChunks}`,
          actual: chunks,
        })
      }
      if (owners[chunk] !== -1) {
        throw new ArgumentError({
          argument: `${argument}[${rank}]`,
          expected: `chunks of its own, but rank ${owners[chunk]} has chunk ${chunk}, too`,
          actual: chunks,
        })
      }
      owners[chunk] = rank
      last = chunk
    }
  })
  const missing = owners.indexOf(-1)
  if (missing < 0) return owners
  throw new ArgumentError({
    argument,
    expected: `all of ${numChunks} chunks, but chunk ${missing} is on no rank`,
    actual: partitions,
  })
}
