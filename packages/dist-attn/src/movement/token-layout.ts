import { type DispatchMeta, Sharding } from '@magi-attention/dispatch'
import { cat, type Tensor, tidy } from '@magi-attention/tensor'

/** Some rows of a tensor. */
export interface RowRun {
  readonly start: number
  readonly length: number
}

/** Where the tokens of a sequence lie: in order, and in the shards of the ranks, one below the other. */
export class TokenLayout {
  readonly sharding: Sharding
  /** Tokens of each rank. */
  readonly seqlens: readonly number[]
  /** The tokens of each rank, as rows of the whole sequence. */
  readonly #shards: readonly (readonly RowRun[])[]
  /** The whole sequence in order, as rows of all shards below each other. */
  readonly #inOrder: readonly RowRun[]

  constructor(meta: DispatchMeta) {
    const sharding = new Sharding(meta)
    this.sharding = sharding
    const ranks = Array.from({ length: sharding.cp_size }, (_, rank) => rank)
    this.seqlens = ranks.map(rank => sharding.seqlenOf(rank))
    this.#shards = ranks.map(rank =>
      sharding.runsOf(rank).map(run => ({ start: sharding.runStarts[run]!, length: this.#lengthOf(run) })),
    )
    const shardStarts: number[] = []
    this.seqlens.reduce((start, seqlen, rank) => {
      shardStarts[rank] = start
      return start + seqlen
    }, 0)
    this.#inOrder = Array.from(sharding.runRanks, (rank, run) => ({
      start: shardStarts[rank]! + sharding.runLocals[run]!,
      length: this.#lengthOf(run),
    }))
  }

  get total_seqlen(): number {
    return this.sharding.total_seqlen
  }

  /** The rows of one rank, out of the whole sequence. */
  takeShard(x: Tensor, rank: number): Tensor {
    return takeRows(x, this.#shards[rank]!)
  }

  /** The rows of all ranks, one rank below the other, out of the whole sequence. */
  toShards(x: Tensor): Tensor {
    return takeRows(x, this.#shards.flat())
  }

  /** The whole sequence, out of the rows of all ranks. */
  fromShards(x: Tensor): Tensor {
    return takeRows(x, this.#inOrder)
  }

  #lengthOf(run: number): number {
    return this.sharding.runEnds[run]! - this.sharding.runStarts[run]!
  }
}

/** A copy of some rows, in the order of the runs. For use where nothing is recorded. */
export function takeRows(x: Tensor, runs: readonly RowRun[]): Tensor {
  return tidy(() => cat(runs.map(({ start, length }) => x.narrow(0, start, length))))
}
