import { AttnRanges } from '@magi-attention/common'
import { firstEndingAfter, type RangeTable } from '../dist-attn-solver/range-table.js'
import type { Sharding } from '../dist-attn-solver/sharding.js'

/** What a rank sends: its whole buffer, cut into pieces. */
export interface SendPlan {
  /** Rows of each piece; they add up to the buffer. */
  readonly input_split_size_list: number[]
  /** Ranks that each piece goes to, ascending; none for rows that nobody needs. */
  readonly dst_indices_list: number[][]
}

/** What a rank receives: its whole receive buffer, piece by piece. */
export interface ReceivePlan {
  /** Rows of each piece; they add up to the receive buffer. */
  readonly output_split_size_list: number[]
  /** Rank that each piece comes from. */
  readonly src_index_list: number[]
}

/**
 * One group cast: every rank gets the rows that it wants from the ranks that hold them, each row once.
 *
 * Rows are cut where a run of the sender begins or ends, and where the wish of any rank does, so each piece
 * goes as a whole to one set of ranks, and the pieces of the sender are the pieces of the receivers. The cut
 * points are sorted once for all ranks: O(w log w) for `w` wanted ranges. A rank's plan to send then takes
 * O(P h log w) plus its length, for `P` ranks and the `h` runs that it holds; its plan to receive is linear
 * in the cut points within its wishes.
 */
export class GroupCastPlan {
  private readonly owner: Sharding
  private readonly wanted: RangeTable
  private sortedCuts: Float64Array | undefined = undefined

  /**
   * @param owner - which rank holds which rows
   * @param wanted - for each rank the rows that it wants, none of which it holds; its receive buffer has them
   *   in ascending order
   */
  constructor(owner: Sharding, wanted: RangeTable) {
    this.owner = owner
    this.wanted = wanted
  }

  /** @throws `IndexError` for a rank that does not exist */
  send(rank: number): SendPlan {
    const plan: SendPlan = { input_split_size_list: [], dst_indices_list: [] }
    const push = (size: number, ranks: number[]): void => {
      const last = plan.dst_indices_list.length - 1
      // A gap may reach over several runs; pieces that are sent never do.
      if (ranks.length === 0 && plan.dst_indices_list[last]?.length === 0) {
        plan.input_split_size_list[last]! += size
        return
      }
      plan.input_split_size_list.push(size)
      plan.dst_indices_list.push(ranks)
    }
    for (const run of this.owner.runsOf(rank)) {
      const end = this.owner.runEnds[run]!
      let position = this.owner.runStarts[run]!
      const open = new RankSet()
      for (const event of this.wishesWithin(position, end)) {
        if (event.position > position) push(event.position - position, open.toArray())
        position = event.position
        if (event.isEnd) open.delete(event.rank)
        else open.add(event.rank)
      }
      push(end - position, open.toArray())
    }
    return plan
  }

  /** @throws `IndexError` for a rank that does not exist */
  receive(rank: number): ReceivePlan {
    this.owner.runsOf(rank)
    const plan: ReceivePlan = { output_split_size_list: [], src_index_list: [] }
    const { starts, ends, offsets } = this.wanted
    const cuts = this.cuts
    for (let i = offsets[rank]!; i < offsets[rank + 1]!; i++) {
      let position = starts[i]!
      let run = this.owner.runAt(position)
      let next = firstGreater(cuts, position)
      while (position < ends[i]!) {
        const runEnd = this.owner.runEnds[run]!
        const cut = next < cuts.length ? cuts[next]! : Number.POSITIVE_INFINITY
        const stop = Math.min(ends[i]!, runEnd, cut)
        plan.output_split_size_list.push(stop - position)
        plan.src_index_list.push(this.owner.runRanks[run]!)
        if (stop === runEnd) run++
        if (stop === cut) next++
        position = stop
      }
    }
    return plan
  }

  /** The rows that `source` sends to `destination`: global positions, ascending. */
  rowsBetween(source: number, destination: number): AttnRanges {
    const rows = new AttnRanges()
    for (const run of this.owner.runsOf(source)) {
      this.forEachWish(destination, this.owner.runStarts[run]!, this.owner.runEnds[run]!, (start, end) =>
        rows.append([start, end]),
      )
    }
    return rows
  }

  /** Where some rank begins or ceases to want rows: ascending, each once. */
  private get cuts(): Float64Array {
    if (this.sortedCuts === undefined) {
      const { starts, ends } = this.wanted
      const all = new Float64Array(starts.length + ends.length)
      all.set(starts)
      all.set(ends, starts.length)
      this.sortedCuts = all.sort().filter((cut, i) => i === 0 || cut !== all[i - 1])
    }
    return this.sortedCuts
  }

  private wishesWithin(start: number, end: number): Wish[] {
    const wishes: Wish[] = []
    for (let rank = 0; rank < this.owner.cp_size; rank++) {
      this.forEachWish(rank, start, end, (from, to) => {
        wishes.push({ position: from, rank, isEnd: false })
        if (to < end) wishes.push({ position: to, rank, isEnd: true })
      })
    }
    return wishes.sort((a, b) => a.position - b.position)
  }

  private forEachWish(
    rank: number,
    start: number,
    end: number,
    visit: (from: number, to: number) => void,
  ): void {
    const { starts, ends, offsets } = this.wanted
    const stop = offsets[rank + 1]!
    for (let i = firstEndingAfter(this.wanted, rank, start); i < stop && starts[i]! < end; i++) {
      visit(Math.max(start, starts[i]!), Math.min(end, ends[i]!))
    }
  }
}

/** A rank begins, or ceases, to want the rows from `position` on. */
interface Wish {
  readonly position: number
  readonly rank: number
  readonly isEnd: boolean
}

/** Ranks in ascending order. */
class RankSet {
  private readonly ranks: number[] = []

  add(rank: number): void {
    this.ranks.splice(this.place(rank), 0, rank)
  }

  delete(rank: number): void {
    this.ranks.splice(this.place(rank), 1)
  }

  toArray(): number[] {
    return [...this.ranks]
  }

  private place(rank: number): number {
    let low = 0
    let high = this.ranks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.ranks[middle]! < rank) low = middle + 1
      else high = middle
    }
    return low
  }
}

function firstGreater(sorted: Float64Array, value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! > value) high = middle
    else low = middle + 1
  }
  return low
}
