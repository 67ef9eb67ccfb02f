import { GrpCollConfig } from '@magi-attention/comm'
import { ArgumentError } from '@magi-attention/common'
import { DispatchConfig, OverlapConfig } from '@magi-attention/dispatch'
import { type KeysOf, requireOptions } from './check.js'

export interface DistAttnConfigOptions {
  /** How the sequence is cut and spread. Default: `new DispatchConfig()`. */
  readonly dispatch_config?: DispatchConfig | undefined
  /** How communication is hidden behind computation. Default: `new OverlapConfig()`. */
  readonly overlap_config?: OverlapConfig | undefined
  /** Taken as in Python, without effect. Default: `new GrpCollConfig()`. */
  readonly grpcoll_config?: GrpCollConfig | undefined
}

const configKeys: KeysOf<DistAttnConfigOptions> = {
  dispatch_config: true,
  overlap_config: true,
  grpcoll_config: true,
}

/** How distributed attention is planned. Immutable. */
export class DistAttnConfig {
  readonly dispatch_config: DispatchConfig
  readonly overlap_config: OverlapConfig
  readonly grpcoll_config: GrpCollConfig

  /** @throws ArgumentError for parts of another class, and unknown options */
  constructor(options: DistAttnConfigOptions = {}) {
    requireOptions('DistAttnConfig', options, configKeys)
    const {
      dispatch_config = new DispatchConfig(),
      overlap_config = new OverlapConfig(),
      grpcoll_config = new GrpCollConfig(),
    } = options
    this.dispatch_config = requirePart('dispatch_config', dispatch_config, DispatchConfig)
    this.overlap_config = requirePart('overlap_config', overlap_config, OverlapConfig)
    this.grpcoll_config = requirePart('grpcoll_config', grpcoll_config, GrpCollConfig)
    Object.freeze(this)
  }

  /** A key for maps: equal for equal configurations only. */
  hash(): string {
    return this.toString()
  }

  toString(): string {
    return `DistAttnConfig(${this.dispatch_config}, ${this.overlap_config}, ${this.grpcoll_config})`
  }
}

function requirePart<T>(argument: string, value: unknown, part: new (options?: object) => T): T {
  if (value instanceof part) return value
  throw new ArgumentError({ argument, expected: `a ${part.name}`, actual: value })
}
