import { assertInteger } from '@magi-attention/tensor/internal'
import { assertOptions } from './check.js'

const defaults = {
  num_sms: 24,
  nvl_chunk_size: 8,
  nvl_buffer_size: 256,
  rdma_chunk_size: 16,
  rdma_buffer_size: 128,
  num_nvl_bytes: 2_000_000_000,
  num_rdma_bytes: 0,
} as const

export interface GrpCollConfigOptions {
  /** Multiprocessors that communication kernels may take. Default 24. */
  readonly num_sms?: number | undefined
  /** Tokens sent over NVLink at once. Default 8. */
  readonly nvl_chunk_size?: number | undefined
  /** Tokens in a buffer for NVLink. Default 256. */
  readonly nvl_buffer_size?: number | undefined
  /** Tokens sent over RDMA at once. Default 16. */
  readonly rdma_chunk_size?: number | undefined
  /** Tokens in a buffer for RDMA. Default 128. */
  readonly rdma_buffer_size?: number | undefined
  /** Bytes of all buffers for NVLink. Default 2e9. */
  readonly num_nvl_bytes?: number | undefined
  /** Bytes of all buffers for RDMA. Default 0. */
  readonly num_rdma_bytes?: number | undefined
}

/**
 * Sizes for MagiAttention's own communication kernels, taken so that its programs port. They are checked and kept, and have no
 * effect: no backend here has such kernels. Immutable.
 */
export class GrpCollConfig {
  readonly num_sms: number
  readonly nvl_chunk_size: number
  readonly nvl_buffer_size: number
  readonly rdma_chunk_size: number
  readonly rdma_buffer_size: number
  readonly num_nvl_bytes: number
  readonly num_rdma_bytes: number

  /** @throws ArgumentError for unknown options, and for anything but integers, at least 1 (`num_rdma_bytes`: 0) */
  constructor(options: GrpCollConfigOptions = {}) {
    assertOptions('options', options, Object.keys(defaults))
    const read = (name: keyof typeof defaults, min = 1): number =>
      assertInteger(name, options[name] ?? defaults[name], min)
    this.num_sms = read('num_sms')
    this.nvl_chunk_size = read('nvl_chunk_size')
    this.nvl_buffer_size = read('nvl_buffer_size')
    this.rdma_chunk_size = read('rdma_chunk_size')
    this.rdma_buffer_size = read('rdma_buffer_size')
    this.num_nvl_bytes = read('num_nvl_bytes')
    this.num_rdma_bytes = read('num_rdma_bytes', 0)
    Object.freeze(this)
  }

  /** `"GrpCollConfig(num_sms=24, …)"` */
  toString(): string {
    const fields = Object.keys(defaults).map(name => `${name}=${this[name as keyof typeof defaults]}`)
    return `GrpCollConfig(${fields.join(', ')})`
  }
}
