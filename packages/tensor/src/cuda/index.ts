/** GPUs, under the names of `torch.cuda`. Nothing here needs a GPU to be imported. */
import { type CudaDeviceLike, get_device_properties, parseCudaDevice } from './devices.js'
import { synchronizeDevice } from './operations.js'

export {
  type CudaDeviceLike,
  type DeviceProperties,
  device_count,
  get_device_properties,
  is_available,
} from './devices.js'
export { Event, type EventOptions } from './event.js'
export { empty_cache, mem_get_info, memory_allocated, memory_reserved } from './memory.js'
export { current_stream, default_stream, Stream, type StreamOptions, set_stream, stream } from './stream.js'

/** Name of a GPU. */
export function get_device_name(device?: CudaDeviceLike): string {
  return get_device_properties(device).name
}

/** Compute capability of a GPU: `[9, 0]` for Hopper. */
export function get_device_capability(device?: CudaDeviceLike): [major: number, minor: number] {
  const { major, minor } = get_device_properties(device)
  return [major, minor]
}

/**
 * Waits for all work on a device.
 * @throws DeviceError for an error of an operation since the last synchronisation, with the operations in question
 */
export function synchronize(device?: CudaDeviceLike): void {
  synchronizeDevice(parseCudaDevice(device))
}
