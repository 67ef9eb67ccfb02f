import { ArgumentError } from '@magi-attention/common'
import { requireInteger, requireOptions } from '../validate.js'
import { AttnOverlapMode } from './attn-overlap-mode.js'
import { OverlapAlg } from './overlap-alg.js'
import { UniformOverlapAlg } from './uniform-overlap-alg.js'

export interface OverlapConfigOptions {
  /** Default `static`. A degree of 0 or 1 leaves nothing to choose and makes it `static`, too. */
  readonly mode?: AttnOverlapMode | undefined
  /**
   * Number of remote stages. 0: everything is received first, then computed in one call. 1 (the default): one
   * remote stage beside the host stage. `null`: chosen by cost; needs `mode: 'dynamic'`.
   */
  readonly degree?: number | null | undefined
  /** Most stages to choose; `null` is no bound but the number of remote chunks. Default 8. */
  readonly dynamic_max_degree?: number | null | undefined
  /** Least tokens in a remote chunk, the unit that stages are made of. Default 512. */
  readonly min_chunk_size?: number | undefined
  /** Most remote chunks. Default 64. */
  readonly max_num_chunks?: number | undefined
  /** How chunks are put into stages. Default `UniformOverlapAlg`. */
  readonly alg?: OverlapAlg | undefined
  /** Time to compute one cell. Default 1. */
  readonly calc_cost_factor?: number | undefined
  /** Time to receive one token. Default 1. */
  readonly comm_cost_factor?: number | undefined
}

const knownOptions = {
  mode: true,
  degree: true,
  dynamic_max_degree: true,
  min_chunk_size: true,
  max_num_chunks: true,
  alg: true,
  calc_cost_factor: true,
  comm_cost_factor: true,
} satisfies Record<keyof OverlapConfigOptions, true>

/** How communication is hidden behind computation. Immutable. */
export class OverlapConfig {
  readonly mode: AttnOverlapMode
  /** Number of remote stages, at least 1, or `null` when it is chosen by cost. */
  readonly degree: number | null
  readonly dynamic_max_degree: number | null
  readonly min_chunk_size: number
  readonly max_num_chunks: number
  readonly alg: OverlapAlg
  readonly calc_cost_factor: number
  readonly comm_cost_factor: number
  /** Whether degree 0 was asked for: `degree` is 1 then, with one remote chunk. */
  readonly no_overlap: boolean

  /**
   * @throws `ArgumentError` for a static mode without degree, a dynamic mode with one above 1, a degree
   *   above `max_num_chunks`, and sizes or factors that are not positive
   */
  constructor(options: OverlapConfigOptions = {}) {
    requireOptions(options, 'overlap_config', 'an object of options')
    for (const key of Object.keys(options)) {
      if (key in knownOptions) continue
      const expected = `one of ${Object.keys(knownOptions).join(', ')}`
      throw new ArgumentError({ argument: `overlap_config.${key}`, expected, actual: key })
    }
    const { mode = AttnOverlapMode.STATIC, degree = 1, dynamic_max_degree = 8 } = options
    const { min_chunk_size = 512, max_num_chunks = 64, alg = new UniformOverlapAlg() } = options
    if (!Object.values(AttnOverlapMode).includes(mode)) {
      throw new ArgumentError({ argument: 'mode', expected: "'static' | 'dynamic'", actual: mode })
    }
    if (degree !== null) requireInteger(degree, 'degree')
    this.no_overlap = degree === 0
    this.degree = this.no_overlap ? 1 : degree
    this.mode = this.degree !== null && this.degree <= 1 ? AttnOverlapMode.STATIC : mode
    this.dynamic_max_degree =
      dynamic_max_degree === null ? null : requireInteger(dynamic_max_degree, 'dynamic_max_degree', 1)
    this.min_chunk_size = requireInteger(min_chunk_size, 'min_chunk_size', 1)
    requireInteger(max_num_chunks, 'max_num_chunks', 1)
    this.max_num_chunks = this.no_overlap ? 1 : max_num_chunks
    if (!(alg instanceof OverlapAlg)) {
      throw new ArgumentError({ argument: 'alg', expected: 'an OverlapAlg', actual: alg })
    }
    this.alg = alg
    this.calc_cost_factor = requirePositive(options.calc_cost_factor ?? 1, 'calc_cost_factor')
    this.comm_cost_factor = requirePositive(options.comm_cost_factor ?? 1, 'comm_cost_factor')
    this.checkDegree()
    Object.freeze(this)
  }

  /** Whether more than one remote stage is asked for or possible. */
  get enable(): boolean {
    return !this.no_overlap && (this.degree === null || this.degree >= 2)
  }

  /** A key for maps: equal for equal configurations only. */
  hash(): string {
    return this.toString()
  }

  /** `"OverlapConfig(mode=static, degree=1, …)"`; a degree of 0 shows as such. */
  toString(): string {
    const degree = this.no_overlap ? 0 : this.degree
    const sizes = `min_chunk_size=${this.min_chunk_size}, max_num_chunks=${this.max_num_chunks}`
    const factors = `calc_cost_factor=${this.calc_cost_factor}, comm_cost_factor=${this.comm_cost_factor}`
    const limit = `dynamic_max_degree=${this.dynamic_max_degree}`
    return `OverlapConfig(mode=${this.mode}, degree=${degree}, ${limit}, ${sizes}, alg=${this.alg}, ${factors})`
  }

  private checkDegree(): void {
    if (this.mode === AttnOverlapMode.DYNAMIC && this.degree !== null) {
      throw new ArgumentError({
        argument: 'degree',
        expected: 'null in dynamic mode',
        actual: this.degree,
        hint: "Pass degree: null, or mode: 'static'.",
      })
    }
    if (this.mode === AttnOverlapMode.STATIC && this.degree === null) {
      throw new ArgumentError({
        argument: 'degree',
        expected: 'an integer >= 0 in static mode',
        actual: null,
        hint: "Pass a degree, or mode: 'dynamic'.",
      })
    }
    if (this.degree !== null && this.degree > this.max_num_chunks) {
      throw new ArgumentError({
        argument: 'degree',
        expected: `at most max_num_chunks = ${this.max_num_chunks}`,
        actual: this.degree,
      })
    }
  }
}

function requirePositive(value: unknown, argument: string): number {
  if (typeof value === 'number' && value > 0 && value < Number.POSITIVE_INFINITY) return value
  throw new ArgumentError({ argument, expected: 'a finite number > 0', actual: value })
}
