import { checkInteger } from '../attn-range.js'
import { AttnRanges, type RangesLike } from '../attn-ranges.js'
import { IndexError, ShapeError } from '../errors/index.js'

/** What one rank sends to another: three lists of equal length, entry by entry the same keys. */
export interface TransferEntry {
  /** Global positions. */
  readonly k_ranges: AttnRanges
  /** Positions in the sender's buffer. */
  readonly k_ranges_local_in_send_buf: AttnRanges
  /** Positions in the receiver's buffer. */
  readonly k_ranges_local_in_recv_buf: AttnRanges
}

/** For each pair of ranks, which keys travel, from where to where. */
export class TransferTable {
  readonly cp_size: number
  private readonly entries: readonly TransferEntry[]

  /** @param cp_size - number of ranks */
  constructor(cp_size: number) {
    this.cp_size = checkInteger(cp_size, 'cp_size', 1)
    this.entries = Array.from({ length: cp_size ** 2 }, () => ({
      k_ranges: new AttnRanges(),
      k_ranges_local_in_send_buf: new AttnRanges(),
      k_ranges_local_in_recv_buf: new AttnRanges(),
    }))
  }

  /** The live entry of a pair. @throws {@link IndexError} for a rank outside of `[0, cp_size)` */
  get(send_rank: number, recv_rank: number): TransferEntry {
    return this.entries[this.rank(send_rank, 'send_rank') * this.cp_size + this.rank(recv_rank, 'recv_rank')]!
  }

  /**
   * Adds keys to what `send_rank` sends to `recv_rank`.
   * @throws {@link IndexError} for a rank outside of `[0, cp_size)`
   * @throws {@link ShapeError} unless the three lists pair up: as many ranges, of the same lengths
   */
  append(
    send_rank: number,
    recv_rank: number,
    k_ranges: RangesLike,
    k_ranges_local_in_send_buf: RangesLike,
    k_ranges_local_in_recv_buf: RangesLike,
  ): void {
    const entry = this.get(send_rank, recv_rank)
    const keys = AttnRanges.from_ranges(k_ranges, true)
    const sent = AttnRanges.from_ranges(k_ranges_local_in_send_buf, true)
    const received = AttnRanges.from_ranges(k_ranges_local_in_recv_buf, true)
    checkPaired(keys, sent, 'k_ranges_local_in_send_buf')
    checkPaired(keys, received, 'k_ranges_local_in_recv_buf')
    entry.k_ranges.extend(keys)
    entry.k_ranges_local_in_send_buf.extend(sent)
    entry.k_ranges_local_in_recv_buf.extend(received)
  }

  private rank(rank: number, argument: string): number {
    if (Number.isInteger(rank) && rank >= 0 && rank < this.cp_size) return rank
    throw new IndexError({ argument, expected: `a rank below ${this.cp_size}`, actual: rank })
  }
}

function checkPaired(keys: AttnRanges, local: AttnRanges, argument: string): void {
  const seqlens = [...keys].map(range => range.seqlen)
  const found = [...local].map(range => range.seqlen)
  if (seqlens.length === found.length && seqlens.every((seqlen, i) => seqlen === found[i])) return
  throw new ShapeError({ argument, expected: `ranges of the lengths ${seqlens.join(', ')}`, actual: local })
}
