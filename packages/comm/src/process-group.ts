import { CommError } from '@magi-attention/common'
import { keep, type Tensor } from '@magi-attention/tensor'
import { markWritten } from '@magi-attention/tensor/internal'
import type { Channel, Ticket } from './backend/backend.js'
import type { ExchangePlan } from './backend/exchange-plan.js'
import { ReducePlan } from './backend/reduce-plan.js'
import { Work } from './work.js'

/** An operation as a list of steps, each of which needs the one before. */
export interface Operation {
  /** In words, the same on every member. */
  readonly call: string
  readonly steps: readonly (ExchangePlan | ReducePlan)[]
  /** Tensors whose memory the steps name. Their callers may dispose them meanwhile. */
  readonly borrowed: readonly Tensor[]
  /** Tensors made for this operation, disposed at its end. */
  readonly temporary?: readonly Tensor[] | undefined
  /** Those that are written. */
  readonly written: readonly Tensor[]
  readonly async_op: boolean
  /** Work, perhaps of another group, without which this makes no sense. */
  readonly after?: Work | undefined
  readonly pair?: readonly [from: number, to: number] | undefined
}

/**
 * An ordered set of ranks that communicate. All members must submit the same operations in the same order; `send` and
 * `recv` only need to fit each other. Made by `init_process_group`, `new_group` and `init_device_mesh`.
 */
export class ProcessGroup {
  /** The members, as ranks of the job, ascending. */
  readonly ranks: readonly number[]
  /** Seconds after which an operation of this group fails. */
  readonly timeout: number
  readonly #rank: number
  readonly #pending = new Set<Work>()
  #channel: Channel | null

  /** @internal */
  constructor(ranks: readonly number[], rank: number, timeout: number, channel: Channel) {
    this.ranks = Object.freeze([...ranks])
    this.timeout = timeout
    this.#rank = ranks.indexOf(rank)
    this.#channel = channel
  }

  /** This process's place among the members. */
  rank(): number {
    return this.#rank
  }

  /** Number of members. */
  size(): number {
    return this.ranks.length
  }

  get is_destroyed(): boolean {
    return this.#channel === null
  }

  /** Bytes that this member has put on the wire so far; what goes to several members at once counts once. */
  bytesSent(): number {
    return this.#liveChannel('bytesSent').bytesWritten()
  }

  toString(): string {
    return `ProcessGroup(rank ${this.#rank} of ${this.size()}, ranks ${this.ranks.join(', ')})`
  }

  /** Submits an operation; waits for it unless it is asynchronous. @internal */
  _run(operation: Operation): Work {
    const channel = this.#liveChannel(operation.call)
    this.#sweep()
    const held = operation.borrowed.map(tensor => keep(tensor.detach()))
    const tickets: Ticket[] = []
    const work = new Work(
      channel,
      operation.call,
      tickets,
      held.concat(operation.temporary ?? []),
      operation.after,
    )
    this.#pending.add(work)
    for (const step of operation.steps) {
      const options = {
        call: operation.call,
        after: tickets.at(-1) ?? operation.after?._lastTicket ?? null,
        inBackground: operation.async_op,
      }
      tickets.push(
        step instanceof ReducePlan
          ? channel.reduce(step, options)
          : channel.exchange(step, { ...options, timeoutSeconds: this.timeout, pair: operation.pair }),
      )
    }
    for (const tensor of operation.written) markWritten(tensor)
    if (!operation.async_op) {
      this.#pending.delete(work)
      work.wait()
    }
    return work
  }

  /** @internal */
  _destroy(): void {
    const channel = this.#channel
    if (channel === null) return
    this.#sweep()
    this.#channel = null
    channel.close()
    for (const work of this.#pending) work._abandon()
    this.#pending.clear()
  }

  /** Pending work is held here, so that memory outlives it even if its handle was dropped. */
  #sweep(): void {
    for (const work of this.#pending) {
      if (!work.is_completed()) continue
      work._settle()
      this.#pending.delete(work)
    }
  }

  #liveChannel(operation: string): Channel {
    if (this.#channel !== null) return this.#channel
    throw new CommError(`${operation}: the process group was destroyed`, { operation })
  }
}
