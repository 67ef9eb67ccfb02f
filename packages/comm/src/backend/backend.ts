import type { Rendezvous } from '../environment.js'
import type { ExchangePlan } from './exchange-plan.js'
import type { ReducePlan } from './reduce-plan.js'

/** A means of transport. `shm` and `mpi` are part of this build. */
export type BackendName = 'shm' | 'mpi' | 'nccl'

export interface BackendOptions {
  readonly timeoutSeconds: number
  /** Bytes of one rank's buffer in each group; 0 for a default by machine. */
  readonly bufferBytes: number
}

/** Moves bytes between the ranks of a job. Everything above this interface is the same for every backend. */
export interface Backend {
  readonly name: BackendName
  /**
   * Joins the job and waits for all of its ranks.
   * @throws CommTimeoutError, PeerLostError, CommError, UnsupportedError
   */
  join(rendezvous: Rendezvous, options: BackendOptions): Job
}

/** This process's part in a job. */
export interface Job {
  /** First half of making a group: all ranks of the job call it in the same order, members or not. */
  reserve(ranks: readonly number[]): bigint
  /** Second half, on members only, once `reserve` has succeeded on the first of them. */
  open(reservation: bigint, ranks: readonly number[]): Channel
  close(): void
}

export interface SubmitOptions {
  /** The call in words, the same on every member. */
  readonly call: string
  /** A ticket without which this operation makes no sense: if that one fails, so does this one. */
  readonly after: Ticket | null
  /** Whether the caller goes on with something else meanwhile. */
  readonly inBackground: boolean
}

export interface ExchangeOptions extends SubmitOptions {
  readonly timeoutSeconds: number
  /** For a message from one member to another, which waits for nothing else; ranks in the plan are 0 and 1 then. */
  readonly pair?: readonly [from: number, to: number] | undefined
}

/** Stands for one operation. */
export type Ticket = bigint

/**
 * What the members of a group submit operations to. They run in order, in the background; memory they name must stay
 * until they have ended.
 */
export interface Channel {
  exchange(plan: ExchangePlan, options: ExchangeOptions): Ticket
  /** Local work, in order with the exchanges. */
  reduce(plan: ReducePlan, options: SubmitOptions): Ticket
  hasEnded(ticket: Ticket): boolean
  /** Waits for an operation to end and forgets its ticket. */
  wait(ticket: Ticket, call: string): void
  /** Bytes written for others so far; what went to several at once counts once. */
  bytesWritten(): number
  /** Operations that are still under way fail; their memory is not touched any more. */
  close(): void
}
