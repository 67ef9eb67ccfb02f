import type { Environment } from '@magi-attention/comm'
import { ArgumentError, UnsupportedError } from '@magi-attention/common'
import type { DType } from '@magi-attention/tensor'

/** One variable of the environment. */
export interface EnvironmentSwitch<T = unknown> {
  readonly variable: string
  /** What an unset or empty variable means. */
  readonly byDefault: T
  readonly meaning: string
  /** @throws ArgumentError, UnsupportedError */
  readonly parse: (text: string) => T
}

function flag(variable: string, meaning: string): EnvironmentSwitch<boolean> {
  return { variable, byDefault: false, meaning, parse: text => oneOf(variable, text, ['0', '1']) === '1' }
}

function choice<T extends string>(
  variable: string,
  byDefault: T,
  choices: readonly T[],
  meaning: string,
): EnvironmentSwitch<T> {
  return { variable, byDefault, meaning, parse: text => oneOf(variable, text, choices) }
}

function integer(
  variable: string,
  byDefault: number,
  min: number,
  meaning: string,
): EnvironmentSwitch<number> {
  const parse = (text: string) => {
    const value = Number(text)
    if (/^-?\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value
    const bound = min === Number.MIN_SAFE_INTEGER ? '' : ` >= ${min}`
    throw new ArgumentError({ argument: variable, expected: `an integer${bound}`, actual: text })
  }
  return { variable, byDefault, meaning, parse }
}

function oneOf<T extends string>(variable: string, text: string, choices: readonly T[]): T {
  const found = choices.find(choice => choice === text)
  if (found !== undefined) return found
  throw new ArgumentError({ argument: variable, expected: `one of ${choices.join(', ')}`, actual: text })
}

const precisions: Readonly<Record<string, DType>> = {
  bf16: 'bfloat16',
  fp16: 'float16',
  fp32: 'float32',
  fp64: 'float64',
}

const prefix = 'MAGI_ATTENTION_'

/** Every variable that the distributed runtime reads, in one table. They are read when a key is made or used. */
export const environmentSwitches = {
  kernelBackend: {
    variable: `${prefix}KERNEL_BACKEND`,
    byDefault: 'ffa',
    meaning: 'the kernel that computes a stage; `ffa` is the only one here',
    parse: (text: string) => {
      if (oneOf(`${prefix}KERNEL_BACKEND`, text, ['ffa', 'sdpa', 'sdpa_ol', 'fa4']) === 'ffa') return 'ffa'
      throw new UnsupportedError({ argument: `${prefix}KERNEL_BACKEND`, expected: 'ffa', actual: text })
    },
  } satisfies EnvironmentSwitch<'ffa'> as EnvironmentSwitch<'ffa'>,
  precision: {
    variable: `${prefix}PRECISION`,
    byDefault: null,
    meaning:
      '`bf16`, `fp16`, `fp32` or `fp64`: q, k and v are cast to it, and out back; unset: their own dtype',
    parse: (text: string) => precisions[oneOf(`${prefix}PRECISION`, text, Object.keys(precisions))]!,
  } as EnvironmentSwitch<DType | null>,
  deterministicMode: flag(
    `${prefix}DETERMINISTIC_MODE`,
    'part of the key; results are bit-identical from run to run with or without it',
  ),
  autoRangeMerge: flag(`${prefix}AUTO_RANGE_MERGE`, 'part of the key; the tile plan always merges ranges'),
  hierarchicalComm: flag(
    `${prefix}HIERARCHICAL_COMM`,
    'rows travel between the rows of a 2-D mesh once and fan out inside; needs such a mesh',
  ),
  qoComm: flag(
    `${prefix}QO_COMM`,
    'queries and outputs travel, too, where that moves less or balances better; in one stage',
  ),
  flattenHeadGroups: flag(
    `${prefix}FLATTEN_HEAD_GROUPS`,
    'kv heads are planned as sequences of their own, so that QO_COMM may give them to different ranks',
  ),
  minChunksPerRank: integer(
    `${prefix}MIN_CHUNKS_PER_RANK`,
    8,
    1,
    'without a chunk_size, chunks are as large as leaves every rank this many',
  ),
  runtimeDictSize: integer(
    `${prefix}DIST_ATTN_RUNTIME_DICT_SIZE`,
    1000,
    Number.MIN_SAFE_INTEGER,
    'keys that are kept for each group; with 0 or less none is, so that no key can be used',
  ),
  forwardHighPrecisionReduce: flag(
    `${prefix}FORWARD_HIGH_PRECISION_REDUCE`,
    'with QO_COMM, partial outputs travel in float32 instead of their own dtype',
  ),
  backwardHighPrecisionReduce: flag(
    `${prefix}BACKWARD_HIGH_PRECISION_REDUCE`,
    'gradients travel in float32 instead of their own dtype',
  ),
  backwardHideTailReduce: flag(
    `${prefix}BWD_HIDE_TAIL_REDUCE`,
    'backward begins with the last stage, whose keys forward keeps, and ends with the local one',
  ),
  dsinkAllReduceOp: choice(
    `${prefix}DSINK_ALL_REDUCE_OP`,
    'none',
    ['none', 'sum', 'avg'],
    'how the gradient of the sink is reduced over the ranks; `none` leaves each rank its part',
  ),
  mergeStages: choice(
    `${prefix}MERGE_STAGES`,
    'auto',
    ['auto', 'never'],
    '`auto`: stages whose communication takes less time than a kernel call of their own share one; `never`: none do',
  ),
  cudaDeviceMaxConnections: integer(
    'CUDA_DEVICE_MAX_CONNECTIONS',
    8,
    1,
    '1: the keys of a stage are asked for one stage ahead, instead of all at the start',
  ),
} as const

/** The value of each switch. */
export type RuntimeSwitches = {
  readonly [Name in keyof typeof environmentSwitches]: (typeof environmentSwitches)[Name]['byDefault']
}

/** Reads all switches. @throws ArgumentError, UnsupportedError naming the variable at fault */
export function readSwitches(env: Environment = process.env): RuntimeSwitches {
  const values = Object.entries(environmentSwitches).map(([name, { variable, byDefault, parse }]) => {
    const text = env[variable]
    return [name, text === undefined || text === '' ? byDefault : parse(text)]
  })
  return Object.freeze(Object.fromEntries(values)) as RuntimeSwitches
}

/**
 * How backward reduces the gradient of the sink over the ranks, by MAGI_ATTENTION_DSINK_ALL_REDUCE_OP. Default
 * `'none'`: each rank keeps its part, for a training framework to sum up beside those of other parameters.
 */
export function dsink_all_reduce_op(): 'none' | 'sum' | 'avg' {
  return readSwitches().dsinkAllReduceOp
}
