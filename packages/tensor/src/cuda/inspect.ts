import { MagiError } from '@magi-attention/common'
import { messageBuffer, messageText, NativeStatus } from '../native/status.js'
import { cudaLibrary } from './cuda-library.js'
import { cudaVersions, type DeviceProperties, isUsable, readDevice } from './devices.js'

/** A GPU, and whether tensors can lie on it. */
export interface InspectedDevice extends DeviceProperties {
  readonly is_usable: boolean
}

/** What a bug report needs to know of CUDA on this machine. */
export interface CudaReport {
  /** The CUDA library that was loaded, or null. */
  readonly path: string | null
  /** Why no GPU is found; null if one is. */
  readonly problem: string | null
  /** The newest CUDA that the driver supports, as `13.0`; null without a driver. */
  readonly driver: string | null
  /** The CUDA that the library was built with; null without it. */
  readonly runtime: string | null
  readonly devices: readonly InspectedDevice[]
  /** Where cuBLAS was found, or why it was not. */
  readonly cublas: {
    readonly path: string | null
    readonly version: string | null
    readonly problem: string | null
  }
}

/** Looks at CUDA without failing. */
export function inspectCuda(): CudaReport {
  try {
    const { deviceCount, driver, runtime, problem } = cudaVersions()
    return {
      path: cudaLibrary().path,
      problem,
      driver: driver === 0 ? null : cudaVersionText(driver),
      runtime: cudaVersionText(runtime),
      devices: Array.from({ length: deviceCount }, (_, index) => ({
        ...readDevice(index),
        is_usable: isUsable(index),
      })),
      cublas: inspectCublas(),
    }
  } catch (error) {
    if (!MagiError.isInstance(error)) throw error
    const cublas = { path: null, version: null, problem: 'not looked for' }
    return { path: null, problem: error.message, driver: null, runtime: null, devices: [], cublas }
  }
}

function inspectCublas(): CudaReport['cublas'] {
  const path = new Uint8Array(1024)
  const version = new Int32Array(1)
  const status = cudaLibrary().findCublas(path, path.length, version, messageBuffer, messageBuffer.length)
  if (status !== NativeStatus.OK) return { path: null, version: null, problem: messageText(messageBuffer) }
  const number = version[0]!
  const parts = [number / 10_000, (number / 100) % 100, number % 100].map(Math.floor)
  return { path: messageText(path), version: parts.join('.'), problem: null }
}

/** `13.0` for 13000. */
function cudaVersionText(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`
}
