import { cpuBackend } from './cpu/cpu-backend.js'
import { makeCudaBackend } from './cuda/cuda-backend.js'
import { deviceIndex } from './cuda/devices.js'
import type { Device } from './device.js'
import type { Storage } from './storage.js'
import type { Tensor } from './tensor.js'

export type BinaryOperator = 'add' | 'sub' | 'mul' | 'div'

/** A block of rows inside of a tensor, in elements. */
export interface RowBlock {
  readonly tensor: Tensor
  readonly offset: number
  readonly stride: number
}

/**
 * The operations of one kind of device, on dense tensors whose shapes and dtypes were checked. Each writes `out`,
 * which never overlaps an input unless it is the same tensor.
 */
export interface Backend {
  /** @throws OutOfMemoryError */
  allocate(bytes: number): Storage
  fill(out: Tensor, value: number): void
  arange(out: Tensor, start: number, step: number): void
  /** Element i depends on `(seed, offset + i)` alone. */
  randn(out: Tensor, seed: bigint, offset: bigint): void
  /** Uniform in [low, high); element i depends on `(seed, offset + i)` alone. */
  randUniform(out: Tensor, seed: bigint, offset: bigint, low: number, high: number): void
  cast(out: Tensor, input: Tensor): void
  /** With broadcasting of `a` and `b` to the shape of `out`. */
  binary(operator: BinaryOperator, out: Tensor, a: Tensor, b: Tensor): void
  /** `input * scale + shift` */
  scale(out: Tensor, input: Tensor, scale: number, shift: number): void
  /** `[outer, reduced, inner]` to `[outer, inner]`, times `scale`. */
  sum(
    out: Tensor,
    input: Tensor,
    sizes: { outer: number; reduced: number; inner: number },
    scale: number,
  ): void
  copyRows(out: RowBlock, input: RowBlock, rows: number, rowElements: number): void
  /** `input` is `[outer, inRows, inner]`, `index` an int64 tensor. */
  indexSelect(out: Tensor, input: Tensor, index: Tensor, sizes: IndexSizes): void
  /** The transpose of `indexSelect`: sums rows into `out`, which is zeroed first. */
  indexAdd(out: Tensor, input: Tensor, index: Tensor, sizes: IndexSizes): void
  /** `out [m, n] = op(a) op(b)`, `a` stored as `[m, k]` or, transposed, `[k, m]`; likewise `b`. */
  matmul(out: Tensor, a: Tensor, b: Tensor, sizes: MatmulSizes): void
}

export interface IndexSizes {
  readonly outer: number
  readonly inRows: number
  readonly outRows: number
  readonly inner: number
}

export interface MatmulSizes {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly transposeA: boolean
  readonly transposeB: boolean
}

const cudaBackends = new Map<Device, Backend>()

/** @throws DeviceError for a GPU that is not there, or cannot be used */
export function backendOf(device: Device): Backend {
  if (device === 'cpu') return cpuBackend
  const backend = cudaBackends.get(device) ?? makeCudaBackend(deviceIndex(device))
  cudaBackends.set(device, backend)
  return backend
}
