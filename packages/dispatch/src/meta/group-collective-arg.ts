import { ArgumentError, ShapeError } from '@magi-attention/common'
import { requireInteger } from '../validate.js'

export interface GroupCollectiveArgOptions {
  /** Rows of each piece of this rank's buffer; they add up to the buffer. */
  readonly input_split_size_list: readonly number[]
  /** Ranks that each piece goes to, ascending; an empty list for rows that nobody needs. */
  readonly dst_indices_list: readonly (readonly number[])[]
  /** Rows of each piece of the receive buffer, in its order. */
  readonly output_split_size_list: readonly number[]
  /** Rank that each piece of the receive buffer comes from. */
  readonly src_index_list: readonly number[]
  readonly rank: number
  readonly world_size: number
  /** Whether sums take a fixed order. Default false. */
  readonly deterministic?: boolean | undefined
  /** Every split is a multiple of it. Default 1. */
  readonly split_alignment?: number | undefined
}

/** The arguments of `group_cast` that say what goes where. */
export interface GroupCastArgs {
  readonly input_split_sizes: readonly number[]
  readonly output_split_sizes: readonly number[]
  readonly dst_indices: readonly (readonly number[])[]
  readonly src_index: readonly number[]
}

/** The arguments of `group_reduce` that say what goes where. */
export interface GroupReduceArgs {
  readonly input_split_sizes: readonly number[]
  readonly output_split_sizes: readonly number[]
  readonly dst_index: readonly number[]
  readonly src_indices: readonly (readonly number[])[]
}

/**
 * One rank's part of a group cast, and of the group reduce that takes the received rows back. Plain data: the
 * process group is given beside it.
 */
export class GroupCollectiveArg {
  readonly input_split_size_list: readonly number[]
  readonly dst_indices_list: readonly (readonly number[])[]
  readonly output_split_size_list: readonly number[]
  readonly src_index_list: readonly number[]
  readonly rank: number
  readonly world_size: number
  readonly deterministic: boolean
  readonly split_alignment: number

  /**
   * @throws `ShapeError` for lists that do not pair up
   * @throws `ArgumentError` for sizes that are not integers >= 0, ranks that do not exist or do not
   *   ascend, and splits that are not aligned
   */
  constructor(options: GroupCollectiveArgOptions) {
    this.world_size = requireInteger(options.world_size, 'world_size', 1)
    this.rank = this.requireRank(options.rank, 'rank')
    this.deterministic = options.deterministic ?? false
    this.split_alignment = requireInteger(options.split_alignment ?? 1, 'split_alignment', 1)
    this.input_split_size_list = this.sizes(options.input_split_size_list, 'input_split_size_list')
    this.output_split_size_list = this.sizes(options.output_split_size_list, 'output_split_size_list')
    this.dst_indices_list = options.dst_indices_list.map((ranks, i) =>
      this.ascendingRanks(ranks, `dst_indices_list[${i}]`),
    )
    this.src_index_list = options.src_index_list.map((rank, i) =>
      this.requireRank(rank, `src_index_list[${i}]`),
    )
    const { input_split_size_list: input, output_split_size_list: output } = this
    requireCount(this.dst_indices_list.length, input.length, 'dst_indices_list')
    requireCount(this.src_index_list.length, output.length, 'src_index_list')
  }

  /** Rows that leave this rank; a row that goes to several ranks counts for each. */
  get num_sent_tokens(): number {
    return this.input_split_size_list.reduce(
      (sum, size, i) => sum + size * this.dst_indices_list[i]!.length,
      0,
    )
  }

  /** Rows that arrive at this rank. */
  get num_received_tokens(): number {
    return this.output_split_size_list.reduce((sum, size) => sum + size, 0)
  }

  /** Brings the rows that this rank needs. */
  to_group_cast_args(): GroupCastArgs {
    return {
      input_split_sizes: this.input_split_size_list,
      output_split_sizes: this.output_split_size_list,
      dst_indices: this.dst_indices_list,
      src_index: this.src_index_list,
    }
  }

  /** Takes one row for each received one, such as its gradient, back to where it came from: roles swapped. */
  to_group_reduce_args(): GroupReduceArgs {
    return {
      input_split_sizes: this.output_split_size_list,
      output_split_sizes: this.input_split_size_list,
      dst_index: this.src_index_list,
      src_indices: this.dst_indices_list,
    }
  }

  private sizes(list: readonly number[], argument: string): readonly number[] {
    return list.map((size, i) => {
      requireInteger(size, `${argument}[${i}]`)
      if (size % this.split_alignment === 0) return size
      const expected = `a multiple of split_alignment = ${this.split_alignment}`
      throw new ArgumentError({ argument: `${argument}[${i}]`, expected, actual: size })
    })
  }

  private ascendingRanks(ranks: readonly number[], argument: string): readonly number[] {
    ranks.forEach((rank, i) => {
      this.requireRank(rank, argument)
      if (i === 0 || ranks[i - 1]! < rank) return
      throw new ArgumentError({ argument, expected: 'ascending ranks, each once', actual: ranks })
    })
    return [...ranks]
  }

  private requireRank(rank: number, argument: string): number {
    if (Number.isInteger(rank) && rank >= 0 && rank < this.world_size) return rank
    throw new ArgumentError({ argument, expected: `a rank below ${this.world_size}`, actual: rank })
  }
}

function requireCount(actual: number, count: number, argument: string): void {
  if (actual === count) return
  throw new ShapeError({ argument, expected: `${count} entries, one for each split`, actual })
}
