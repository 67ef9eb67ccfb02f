import { DeviceError, NativeLibraryNotFoundError } from '@magi-attention/common'
import { type Device, parseDevice } from '../device.js'
import { checkStatus, messageBuffer, messageText, NativeStatus } from '../native/status.js'
import { cudaLibrary, DeviceStruct, VersionsStruct } from './cuda-library.js'

/** A GPU, as `get_device_properties` describes it. */
export interface DeviceProperties {
  readonly name: string
  /** Bytes. */
  readonly total_memory: number
  /** Compute capability: `major` 9 and `minor` 0 for Hopper. */
  readonly major: number
  readonly minor: number
  readonly multi_processor_count: number
  /** Bytes. */
  readonly L2_cache_size: number
}

/** What the CUDA library says of this machine. */
export interface CudaVersions {
  readonly deviceCount: number
  /** The newest CUDA that the driver supports: 13000 for 13.0. 0 without a driver. */
  readonly driver: number
  /** The CUDA that the library was built with. */
  readonly runtime: number
  /** Why no GPU can be used; null if one can. */
  readonly problem: string | null
}

/** The oldest GPUs that the kernels are made for: Ampere. */
const minCapability = 8

let versions: CudaVersions | undefined
const properties = new Map<number, DeviceProperties>()

/**
 * Asks the library, once.
 * @throws NativeLibraryNotFoundError where it was not built
 */
export function cudaVersions(): CudaVersions {
  if (versions !== undefined) return versions
  const bytes = VersionsStruct.pack({ device_count: 0, driver: 0, runtime: 0, reserved: 0 })
  const status = cudaLibrary().getVersions(bytes, messageBuffer, messageBuffer.length)
  if (status !== NativeStatus.DEVICE_ERROR) checkStatus(status, messageBuffer, 'magi_cuda_get_versions')
  const { device_count, driver, runtime } = VersionsStruct.unpack(bytes)
  const problem = status === NativeStatus.OK ? null : messageText(messageBuffer)
  versions = { deviceCount: device_count, driver, runtime, problem }
  return versions
}

/** Likewise; without the library, why that is. */
function cudaVersionsOrProblem(): CudaVersions {
  try {
    return cudaVersions()
  } catch (error) {
    if (!(error instanceof NativeLibraryNotFoundError)) throw error
    return { deviceCount: 0, driver: 0, runtime: 0, problem: error.message }
  }
}

/** Whether this machine has a GPU that tensors can lie on. */
export function is_available(): boolean {
  return Array.from({ length: device_count() }, (_, index) => index).some(isUsable)
}

/** Whether tensors can lie on a GPU. */
export function isUsable(index: number): boolean {
  try {
    assertUsable(index)
    return true
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error
    return false
  }
}

/** Number of GPUs, also of those too old; 0 also where the CUDA library was not built. */
export function device_count(): number {
  return cudaVersionsOrProblem().deviceCount
}

/** Number of a CUDA device: 1 for `'cuda:1'`. */
export function deviceIndex(device: Device): number {
  return Number(device.slice('cuda:'.length))
}

/** `'cuda'`, `'cuda:1'` or 1. */
export type CudaDeviceLike = Device | 'cuda' | number

/**
 * Number of a device that the user named. Default: the first.
 * @throws DeviceError unless it is a CUDA device of this machine
 */
export function parseCudaDevice(device: CudaDeviceLike = 0): number {
  const named = parseDevice('device', typeof device === 'number' ? `cuda:${device}` : device)
  if (named === 'cpu') throw new DeviceError({ argument: 'device', expected: "'cuda:N'", actual: device })
  const index = deviceIndex(named)
  assertUsable(index)
  return index
}

/** @throws DeviceError if there is no such GPU, or it is too old */
export function assertUsable(index: number): void {
  if (properties.has(index)) return
  const actual = `cuda:${index}`
  const { deviceCount, problem } = cudaVersionsOrProblem()
  if (deviceCount === 0) {
    const hint = `Reason: ${problem ?? 'no GPU was found'}. \`npx magi inspect\` tells more.`
    throw new DeviceError({ argument: 'device', expected: "'cpu', since no GPU can be used", actual, hint })
  }
  if (index >= deviceCount) {
    const last = deviceCount - 1
    const expected = last === 0 ? "'cuda:0', the only GPU" : `'cuda:0' to 'cuda:${last}'`
    throw new DeviceError({ argument: 'device', expected, actual })
  }
  const { has_memory_pools, ...found } = readDevice(index)
  if (found.major < minCapability) {
    throw new DeviceError({
      argument: 'device',
      expected: `a GPU of compute capability ${minCapability}.0 or newer (Ampere)`,
      actual: `${actual}, ${found.name}, of capability ${found.major}.${found.minor}`,
      hint: 'Name another GPU, or keep the tensors on the CPU.',
    })
  }
  if (!has_memory_pools) {
    throw new DeviceError({
      argument: 'device',
      expected: 'a GPU with stream-ordered memory pools',
      actual: `${actual}, ${found.name}`,
      hint: 'Some virtual GPUs have none.',
    })
  }
  properties.set(index, found)
}

/** Describes a GPU, whether it can be used or not. */
export function readDevice(index: number): DeviceProperties & { readonly has_memory_pools: boolean } {
  const blank = { memory_bytes: 0, l2_bytes: 0, capability_major: 0, capability_minor: 0 }
  const bytes = DeviceStruct.pack({ ...blank, num_multiprocessors: 0, has_memory_pools: 0 })
  const name = new Uint8Array(256)
  const { getDevice } = cudaLibrary()
  const status = getDevice(index, bytes, name, name.length, messageBuffer, messageBuffer.length)
  checkStatus(status, messageBuffer, 'magi_cuda_get_device')
  const found = DeviceStruct.unpack(bytes)
  return {
    name: messageText(name),
    total_memory: found.memory_bytes,
    major: found.capability_major,
    minor: found.capability_minor,
    multi_processor_count: found.num_multiprocessors,
    L2_cache_size: found.l2_bytes,
    has_memory_pools: found.has_memory_pools === 1,
  }
}

/** Name, memory and compute capability of a GPU. */
export function get_device_properties(device?: CudaDeviceLike): DeviceProperties {
  return properties.get(parseCudaDevice(device))!
}
