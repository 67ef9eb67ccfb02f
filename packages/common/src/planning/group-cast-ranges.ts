import { AttnRange, checkInteger } from '../attn-range.js'
import { AttnRanges, type RangesLike } from '../attn-ranges.js'
import { ShapeError } from '../errors/index.js'

/** A range, and the ranks that it goes to. */
export interface GroupCastRange {
  readonly range: AttnRange
  /** Ascending, each once. */
  readonly ranks: readonly number[]
}

/**
 * The ranges that a sender casts to every rank, ascending.
 *
 * With `split` they are cut at all of their ends, so that each piece goes as a whole to one set of ranks;
 * positions that nobody needs are in no piece. Without, they keep their extent and may overlap, each with one
 * rank.
 */
export class GroupCastRanges {
  readonly cp_size: number
  private readonly pieces: readonly GroupCastRange[]

  /**
   * @param cp_size - number of ranks
   * @param ranges_per_rank - for each rank, the ranges that it needs
   * @throws {@link ShapeError} unless there is one list for each rank
   */
  constructor(cp_size: number, ranges_per_rank: readonly RangesLike[], split = true) {
    this.cp_size = checkInteger(cp_size, 'cp_size', 1)
    if (ranges_per_rank.length !== cp_size) {
      throw new ShapeError({
        argument: 'ranges_per_rank',
        expected: `${cp_size} lists, one for each rank`,
        actual: ranges_per_rank.length,
      })
    }
    const wanted = ranges_per_rank.flatMap((ranges, rank) =>
      [...AttnRanges.from_ranges(ranges, true).clear_empty()].map(range => ({ range, ranks: [rank] })),
    )
    wanted.sort((a, b) => a.range.start - b.range.start)
    this.pieces = split ? splitAtEnds(wanted) : wanted
  }

  [Symbol.iterator](): IterableIterator<GroupCastRange> {
    return this.pieces.values()
  }

  get length(): number {
    return this.pieces.length
  }

  at(index: number): GroupCastRange | undefined {
    return this.pieces.at(index)
  }
}

/** A sweep over all starts and ends that counts, for each rank, how many of its ranges are open. */
function splitAtEnds(wanted: readonly GroupCastRange[]): GroupCastRange[] {
  const events = wanted.flatMap(({ range, ranks: [rank] }) => [
    { position: range.start, rank: rank!, change: 1 },
    { position: range.end, rank: rank!, change: -1 },
  ])
  events.sort((a, b) => a.position - b.position)
  const open = new Map<number, number>()
  const pieces: GroupCastRange[] = []
  let start = Number.NaN
  for (const { position, rank, change } of events) {
    if (position > start && open.size > 0) {
      pieces.push({ range: new AttnRange(start, position), ranks: [...open.keys()].sort((a, b) => a - b) })
    }
    start = position
    const count = (open.get(rank) ?? 0) + change
    if (count === 0) open.delete(rank)
    else open.set(rank, count)
  }
  return pieces
}
