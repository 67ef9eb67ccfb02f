import {
  ArgumentError,
  DeviceError,
  NativeCallError,
  OutOfMemoryError,
  UnsupportedError,
} from '@magi-attention/common'

/** The status codes of abi.h. */
export const NativeStatus = {
  OK: 0,
  INVALID_ARGUMENT: 1,
  OUT_OF_MEMORY: 2,
  UNSUPPORTED: 3,
  INTERNAL: 4,
  DEVICE_ERROR: 5,
} as const

/** Memory for the message of a native call. One for a process is enough: calls are synchronous. */
export const messageBuffer: Uint8Array = new Uint8Array(new ArrayBuffer(1024))

/** The text that a native call has left in a buffer. */
export function messageText(message: Uint8Array): string {
  const end = message.indexOf(0)
  return new TextDecoder().decode(message.subarray(0, end < 0 ? message.length : end)) || 'no message'
}

/**
 * Turns the status of a native call into an error.
 *
 * @param functionName the native function, for the message
 * @throws ArgumentError, OutOfMemoryError, UnsupportedError, DeviceError or NativeCallError with the library's own words
 */
export function checkStatus(status: number, message: Uint8Array, functionName: string): void {
  if (status === NativeStatus.OK) return
  const text = messageText(message)
  if (status === NativeStatus.OUT_OF_MEMORY) throw new OutOfMemoryError(`${functionName}: ${text}`)
  const details = { argument: functionName, actual: text }
  if (status === NativeStatus.INVALID_ARGUMENT) {
    throw new ArgumentError({ ...details, expected: 'arguments that the native library accepts' })
  }
  if (status === NativeStatus.UNSUPPORTED) {
    throw new UnsupportedError({ ...details, expected: 'a request that the native library supports' })
  }
  if (status === NativeStatus.DEVICE_ERROR) {
    const hint = '`npx magi inspect` tells what GPUs and drivers there are.'
    throw new DeviceError({ ...details, expected: 'a working CUDA device', hint })
  }
  throw new NativeCallError(`${functionName} failed with status ${status}: ${text}`, details)
}
