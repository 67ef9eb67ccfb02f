import { ArgumentError } from '@magi-attention/common'
import { DispatchConfig, OverlapConfig } from '@magi-attention/dispatch'
import { type KeysOf, requireOptions } from './check.js'

export interface DistAttnConfigOptions {
  /** How the sequence is cut and spread. Default: `new DispatchConfig()`. */
  readonly dispatch_config?: DispatchConfig | undefined
  /** How communication is hidden behind computation. Default: `new OverlapConfig()`. */
  readonly overlap_config?: OverlapConfig | undefined
}

const configKeys: KeysOf<DistAttnConfigOptions> = { dispatch_config: true, overlap_config: true }

/** How distributed attention is planned. Immutable. */
export class DistAttnConfig {
  readonly dispatch_config: DispatchConfig
  readonly overlap_config: OverlapConfig

  /** @throws ArgumentError for parts of another class, and unknown options */
  constructor(options: DistAttnConfigOptions = {}) {
    requireOptions('DistAttnConfig', options, configKeys)
    const { dispatch_config = new DispatchConfig(), overlap_config = new OverlapConfig() } = options
    if (!(dispatch_config instanceof DispatchConfig)) {
      const expected = 'a DispatchConfig'
      throw new ArgumentError({ argument: 'dispatch_config', expected, actual: dispatch_config })
    }
    if (!(overlap_config instanceof OverlapConfig)) {
      throw new ArgumentError({
        argument: 'overlap_config',
        expected: 'an OverlapConfig',
        actual: overlap_config,
      })
    }
    this.dispatch_config = dispatch_config
    this.overlap_config = overlap_config
    Object.freeze(this)
  }

  /** A key for maps: equal for equal configurations only. */
  hash(): string {
    return this.toString()
  }

  toString(): string {
    return `DistAttnConfig(${this.dispatch_config}, ${this.overlap_config})`
  }
}
