import { DeviceError, OutOfMemoryError } from '@magi-attention/common'
import { checkStatus, messageBuffer, messageText, NativeStatus } from '../native/status.js'
import { cudaLibrary } from './cuda-library.js'

/** An operation that was enqueued and may not have run yet. */
interface PendingOperation {
  readonly name: string
  readonly stream: bigint
}

const maxPending = 16
const pending = new Map<number, PendingOperation[]>()

let synchronous: boolean | undefined

/** MAGI_ATTENTION_CUDA_SYNC=1: wait after each operation, so that an error names the one at fault. Read once: it is slow. */
function isSynchronous(): boolean {
  synchronous ??= process.env.MAGI_ATTENTION_CUDA_SYNC === '1'
  return synchronous
}

/**
 * Notes that native code has enqueued an operation on a stream. If the GPU reports an error later on, the message
 * lists the operations since the last synchronisation.
 *
 * @param device number of the GPU
 * @throws DeviceError for an error that is found at once, with MAGI_ATTENTION_CUDA_SYNC=1
 */
export function recordOperation(device: number, stream: bigint, name: string): void {
  const operations = pending.get(device) ?? []
  pending.set(device, operations)
  operations.push({ name, stream })
  if (operations.length > maxPending) operations.shift()
  if (isSynchronous()) synchronizeStream(device, stream)
}

/** Waits for one stream. */
export function synchronizeStream(device: number, stream: bigint): void {
  const { streamSynchronize } = cudaLibrary()
  checkCuda(streamSynchronize(device, stream, messageBuffer, messageBuffer.length), 'synchronize', device)
  const others = (pending.get(device) ?? []).filter(operation => operation.stream !== stream)
  pending.set(device, others)
}

/** Waits for all streams of a device. */
export function synchronizeDevice(device: number): void {
  const { synchronize } = cudaLibrary()
  checkCuda(synchronize(device, messageBuffer, messageBuffer.length), 'synchronize', device)
  pending.delete(device)
}

/**
 * Turns the status of a call of libmagi_tensor_cuda, or of another library that works on the GPU, into an error.
 *
 * @param name the operation, for the message
 * @param device number of the GPU
 * @throws OutOfMemoryError, DeviceError or what `checkStatus` throws
 */
export function checkCuda(status: number, name: string, device: number): void {
  if (status === NativeStatus.OK) return
  if (status === NativeStatus.OUT_OF_MEMORY) {
    throw new OutOfMemoryError(
      `${name}: ${messageText(messageBuffer)}. Dispose of tensors, or use smaller ones; ` +
        'those that were merely dropped are freed after a turn of the event loop.',
    )
  }
  if (status !== NativeStatus.DEVICE_ERROR) checkStatus(status, messageBuffer, name)
  throw new DeviceError({
    argument: `cuda:${device}, at ${name}`,
    expected: 'the GPU to work',
    actual: messageText(messageBuffer),
    hint: describePending(device),
  })
}

/** For clean-up, which must not hide the error that it follows: the GPU reports it again at the next call. */
export function ignoreDeviceError(body: () => void): void {
  try {
    body()
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error
  }
}

function describePending(device: number): string {
  const names = (pending.get(device) ?? []).map(operation => operation.name)
  if (names.length === 0) return 'Nothing was enqueued since the last synchronisation.'
  if (names.length === 1)
    return `The operation at fault is ${names[0]}, the only one since the last synchronisation.`
  return (
    `Enqueued since the last synchronisation, the latest last: ${names.join(', ')}. ` +
    'MAGI_ATTENTION_CUDA_SYNC=1 finds the one at fault.'
  )
}
