import type { DType } from '../dtype.js'
import { dtypeInfo } from '../dtype.js'
import { messageBuffer } from '../native/status.js'
import type { Tensor } from '../tensor.js'
import { cudaLibrary } from './cuda-library.js'
import { CudaMemory } from './cuda-memory.js'
import { assertUsable, deviceIndex } from './devices.js'
import { checkCuda, recordOperation } from './operations.js'
import { pinnedVisitors } from './pinned-memory.js'
import { currentHandle } from './stream-handle.js'

const message = [messageBuffer, messageBuffer.length] as const

const bytesOf = (tensor: Tensor): number => tensor.numel() * itemsizeOf(tensor.dtype)
const itemsizeOf = (dtype: DType): number => dtypeInfo(dtype).itemsize

/**
 * Copies all elements between two devices, of which one at least is a GPU. Both tensors are dense and have the same dtype
 * and number of elements.
 *
 * Returns when the host's memory may be used again; with `nonBlocking`, pinned memory may still be in use.
 */
export function copyBetweenDevices(target: Tensor, source: Tensor, nonBlocking = false): void {
  if (bytesOf(target) === 0) return
  if (target.device === 'cpu') copyWithHost(target, source, source, nonBlocking)
  else if (source.device === 'cpu') copyWithHost(target, source, target, nonBlocking)
  else copyPeer(target, source)
}

function copyWithHost(target: Tensor, source: Tensor, onGpu: Tensor, nonBlocking: boolean): void {
  const device = deviceIndex(onGpu.device)
  assertUsable(device)
  const stream = currentHandle(device)
  const name = onGpu === target ? 'copy to the GPU' : 'copy to the CPU'
  const [to, from] = [target.data_ptr(), source.data_ptr()]
  const status = cudaLibrary().copy(to, from, bytesOf(target), device, stream.address, ...message)
  checkCuda(status, name, device)
  recordOperation(device, stream.address, name)
  const visitors = pinnedVisitors(onGpu === target ? source : target)
  // CUDA has read memory that is not pinned before it returns. To write it, or to read pinned memory, takes until later.
  if (onGpu === target && visitors === undefined) return
  if (visitors !== undefined && nonBlocking) visitors.add(stream)
  else stream.synchronize()
}

function copyPeer(target: Tensor, source: Tensor): void {
  const [to, from] = [deviceIndex(target.device), deviceIndex(source.device)]
  const [stream, sourceStream] = [currentHandle(to), currentHandle(from)]
  stream.waitFor(sourceStream)
  const { copyPeer: copy } = cudaLibrary()
  const status = copy(
    target.data_ptr(),
    to,
    source.data_ptr(),
    from,
    bytesOf(target),
    stream.address,
    ...message,
  )
  checkCuda(status, 'copy between GPUs', to)
  recordOperation(to, stream.address, 'copy between GPUs')
  if (source._storage.memory instanceof CudaMemory) source._storage.memory.visit(stream)
  // What is written to the source next must not overtake the copy.
  sourceStream.waitFor(stream)
}
