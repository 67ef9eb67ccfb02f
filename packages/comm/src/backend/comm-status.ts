import { CommError, CommTimeoutError, PeerLostError } from '@magi-attention/common'
import { checkStatus, messageBuffer, NativeStatus } from '@magi-attention/tensor/native'

/** The status codes of comm.h. */
const CommStatus = { TIMEOUT: 100, PEER_LOST: 101, FAILED: 102 } as const

/** Most ranks of a job, MAGI_COMM_MAX_RANKS. */
const maxRanks = 128

/** Where a native call names ranks: their number, then the ranks. */
export const rankBuffer: Int32Array = new Int32Array(1 + maxRanks)

/**
 * Turns the status of a native call into an error.
 *
 * @param operation what was called, for the error
 * @param functionName the native function, for errors that are not about communication
 * @throws CommTimeoutError, PeerLostError, CommError, or what `checkStatus` throws
 */
export function checkCommStatus(status: number, operation: string, functionName: string): void {
  if (status === NativeStatus.OK) return
  const end = messageBuffer.indexOf(0)
  const message = new TextDecoder().decode(messageBuffer.subarray(0, end < 0 ? undefined : end))
  const details = { operation, ranks: [...rankBuffer.subarray(1, 1 + rankBuffer[0]!)] }
  if (status === CommStatus.TIMEOUT) throw new CommTimeoutError(message, details)
  if (status === CommStatus.PEER_LOST) throw new PeerLostError(message, details)
  if (status === CommStatus.FAILED) throw new CommError(message, details)
  checkStatus(status, messageBuffer, functionName)
}
