import { MagiError, type MagiErrorCode, type MagiErrorDetails } from './magi-error.js'

/** What every communication error tells: which operation, and which ranks it is about. */
export interface CommErrorDetails extends MagiErrorDetails {
  /** The call, in words: `all_reduce(sum, float32 [4, 8])`. */
  readonly operation: string
  /** Ranks of the job that are at fault, where they are known. */
  readonly ranks?: readonly number[] | undefined
}

/** Ranks could not communicate: their calls do not fit each other, or a group was destroyed. Base of the others. */
export class CommError extends MagiError {
  readonly operation: string
  readonly ranks: readonly number[]

  constructor(message: string, details: CommErrorDetails, code: MagiErrorCode = 'ERR_COMM') {
    super(code, message, details)
    this.operation = details.operation
    this.ranks = details.ranks ?? []
  }
}

/** A deadline passed. `ranks` did not arrive. */
export class CommTimeoutError extends CommError {
  constructor(message: string, details: CommErrorDetails) {
    super(message, details, 'ERR_COMM_TIMEOUT')
  }
}

/** The processes of `ranks` have ended, or left the job, before the operation was done. */
export class PeerLostError extends CommError {
  constructor(message: string, details: CommErrorDetails) {
    super(message, details, 'ERR_COMM_PEER_LOST')
  }
}
