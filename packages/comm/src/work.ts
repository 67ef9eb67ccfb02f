import { ArgumentError, CommError } from '@magi-attention/common'
import type { Tensor } from '@magi-attention/tensor'
import type { Channel, Ticket } from './backend/backend.js'

/** An operation under way. */
export class Work {
  readonly #channel: Channel
  readonly #call: string
  readonly #tickets: readonly Ticket[]
  readonly #previous: Work | undefined
  #held: readonly Tensor[]
  #hasEnded = false
  #error: unknown

  /** @internal */
  constructor(
    channel: Channel,
    call: string,
    tickets: readonly Ticket[],
    held: readonly Tensor[],
    previous?: Work,
  ) {
    this.#previous = previous
    this.#channel = channel
    this.#call = call
    this.#tickets = tickets
    this.#held = held
  }

  /**
   * Blocks until the operation has ended, by its deadline at the latest. Again: no effect, or the same error.
   * @throws CommTimeoutError, PeerLostError, or CommError if the ranks' calls do not fit each other
   */
  wait(): void {
    this._settle()
    if (this.#error !== undefined) throw this.#error
  }

  /** Whether the operation has ended, well or not. Does not block. */
  is_completed(): boolean {
    return this.#hasEnded || this.#tickets.every(ticket => this.#channel.hasEnded(ticket))
  }

  /** Waits without throwing, and lets the memory go. @internal */
  _settle(): void {
    if (this.#hasEnded) return
    if (this.#previous) {
      this.#previous._settle()
      this.#error = this.#previous.#error
    }
    for (const ticket of this.#tickets) {
      try {
        this.#channel.wait(ticket, this.#call)
      } catch (error) {
        // What comes after a failed step fails for the same reason.
        this.#error ??= error
      }
    }
    this.#end()
  }

  /** For work that comes after this. @internal */
  get _lastTicket(): Ticket | undefined {
    return this.#hasEnded ? undefined : this.#tickets.at(-1)
  }

  /** The group is gone. @internal */
  _abandon(): void {
    if (this.#hasEnded) return
    this.#error = new CommError(`${this.#call}: the group was destroyed before the operation ended`, {
      operation: this.#call,
    })
    this.#end()
  }

  #end(): void {
    this.#hasEnded = true
    for (const tensor of this.#held) tensor.dispose()
    this.#held = []
  }
}

/** An operation, or none, behind one method. */
export class GeneralWork {
  readonly work: unknown

  /** @param work anything with a `wait` method, or null for work that is done */
  constructor(work: { wait(): void } | null = null) {
    this.work = work
  }

  /** @throws ArgumentError if the work cannot be waited for */
  wait(): void {
    if (this.work === null || this.work === undefined) return
    const { wait } = this.work as { wait?: unknown }
    if (typeof wait !== 'function') {
      throw new ArgumentError({ argument: 'work', expected: 'a Work or null', actual: this.work })
    }
    wait.call(this.work)
  }
}

/** An operation whose result needs a last step, which runs when it is waited for. */
export class WorkWithPostProcessFn<R, A extends readonly unknown[] = []> {
  readonly work: GeneralWork
  readonly #postProcess: (...args: A) => R
  #isUsed = false

  /**
   * @param work what to wait for; null for nothing
   * @param post_process_fn makes the result, once
   * @param async_op false: waits here already. Default: false
   */
  constructor(
    work: GeneralWork | Work | null,
    post_process_fn: (...args: A) => R,
    async_op: boolean = false,
  ) {
    this.work = work instanceof GeneralWork ? work : new GeneralWork(work)
    this.#postProcess = post_process_fn
    if (!async_op) this.work.wait()
  }

  /**
   * Waits, and returns the result.
   * @throws CommError if it is called twice, and what `Work.wait` throws
   */
  wait_post_process(...args: A): R {
    if (this.#isUsed) {
      throw new CommError('wait_post_process was called twice on the same work', {
        operation: 'wait_post_process',
      })
    }
    this.#isUsed = true
    this.work.wait()
    return this.#postProcess(...args)
  }
}
