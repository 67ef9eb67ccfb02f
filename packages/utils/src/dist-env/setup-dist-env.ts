import {
  type BackendName,
  destroy_process_group,
  get_local_rank,
  init_process_group,
  type ProcessGroup,
} from '@magi-attention/comm'
import { ArgumentError } from '@magi-attention/common'
import type { Device } from '@magi-attention/tensor'
import { set_random_seed } from '../seeds.js'

export interface SetupDistEnvOptions {
  /** Default: `'shm'`, the ranks of one machine. */
  readonly backend?: BackendName | undefined
  /** Seeds the generators, together with `seed_bias`. Default: they stay as they are. */
  readonly base_seed?: number | null | undefined
  /** What a rank adds to the seed. Default: 0, so that all ranks draw the same numbers. */
  readonly seed_bias?: ((rank: number) => number) | undefined
  /** Seconds after which communication fails. Default: 600. */
  readonly timeout?: number | undefined
}

/** What a program needs to know of its place. */
export type DistEnv = [
  rank: number,
  local_rank: number,
  world_size: number,
  num_nodes: number,
  num_local_ranks: number,
  world_group: ProcessGroup,
  device: Device,
  seed: number | null,
]

const optionNames = ['backend', 'base_seed', 'seed_bias', 'timeout']

/**
 * Joins the job that magirun, torchrun, mpirun or srun has started this process for, and seeds the generators. Without a
 * launcher: a job of one rank. NNODES and NPROC_PER_NODE tell machines and ranks on each; unset, it is one machine.
 *
 * @throws ArgumentError for bad options or variables, and what `init_process_group` of `@magi-attention/comm` throws
 *
 * @example
 * const [rank, local_rank, world_size, num_nodes, num_local_ranks, world_group, device, seed] = setup_dist_env()
 */
export function setup_dist_env(options: SetupDistEnvOptions = {}): DistEnv {
  checkOptions(options)
  const { backend, base_seed, seed_bias = () => 0, timeout } = options
  const group = init_process_group({ backend, timeout })
  try {
    const rank = group.rank()
    const world_size = group.size()
    const num_nodes = readCount('NNODES') ?? 1
    const num_local_ranks = readCount('NPROC_PER_NODE') ?? Math.ceil(world_size / num_nodes)
    const hasSeed = base_seed !== undefined && base_seed !== null
    const seed = hasSeed ? base_seed + seed_bias(rank) : null
    if (seed !== null) set_random_seed(seed)
    return [rank, get_local_rank(), world_size, num_nodes, num_local_ranks, group, 'cpu', seed]
  } catch (error) {
    destroy_process_group()
    throw error
  }
}

/** Leaves the job and destroys its groups. Without a job: no effect. */
export function clearup_dist_env(): void {
  destroy_process_group()
}

function checkOptions(options: SetupDistEnvOptions): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const expected = `an object of ${optionNames.join(', ')}`
    throw new ArgumentError({ argument: 'options', expected, actual: options })
  }
  const unknown = Object.keys(options).find(name => !optionNames.includes(name))
  if (unknown !== undefined) {
    throw new ArgumentError({
      argument: unknown,
      expected: `one of ${optionNames.join(', ')}`,
      actual: unknown,
    })
  }
  const { base_seed, seed_bias } = options
  if (base_seed !== undefined && base_seed !== null && !Number.isSafeInteger(base_seed)) {
    throw new ArgumentError({ argument: 'base_seed', expected: 'a whole number or null', actual: base_seed })
  }
  if (seed_bias !== undefined && typeof seed_bias !== 'function') {
    throw new ArgumentError({ argument: 'seed_bias', expected: 'a function of the rank', actual: seed_bias })
  }
}

function readCount(variable: string): number | undefined {
  const text = process.env[variable]
  if (!text) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1) return value
  throw new ArgumentError({ argument: variable, expected: 'an integer of at least 1', actual: text })
}
