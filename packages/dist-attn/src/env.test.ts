import { ArgumentError, UnsupportedError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { environmentSwitches, readSwitches } from './env.js'

describe('readSwitches', () => {
  it('gives the defaults for what is unset or empty', () => {
    const defaults = Object.fromEntries(
      Object.entries(environmentSwitches).map(([name, { byDefault }]) => [name, byDefault]),
    )
    expect(readSwitches({})).toEqual(defaults)
    expect(readSwitches({ MAGI_ATTENTION_DETERMINISTIC_MODE: '' })).toEqual(defaults)
    expect(readSwitches({}).minChunksPerRank).toBe(8)
    expect(readSwitches({}).runtimeDictSize).toBe(1000)
  })

  it('reads each of them', () => {
    const values = readSwitches({
      MAGI_ATTENTION_PRECISION: 'bf16',
      MAGI_ATTENTION_HIERARCHICAL_COMM: '1',
      MAGI_ATTENTION_BWD_HIDE_TAIL_REDUCE: '0',
      MAGI_ATTENTION_DIST_ATTN_RUNTIME_DICT_SIZE: '-1',
      MAGI_ATTENTION_DSINK_ALL_REDUCE_OP: 'avg',
      CUDA_DEVICE_MAX_CONNECTIONS: '1',
    })
    expect(values).toMatchObject({
      precision: 'bfloat16',
      hierarchicalComm: true,
      backwardHideTailReduce: false,
      runtimeDictSize: -1,
      dsinkAllReduceOp: 'avg',
      cudaDeviceMaxConnections: 1,
    })
  })

  it.each([
    ['MAGI_ATTENTION_DETERMINISTIC_MODE', 'true'],
    ['MAGI_ATTENTION_PRECISION', 'bfloat16'],
    ['MAGI_ATTENTION_MIN_CHUNKS_PER_RANK', '0'],
    ['MAGI_ATTENTION_DIST_ATTN_RUNTIME_DICT_SIZE', '1e3'],
    ['MAGI_ATTENTION_DSINK_ALL_REDUCE_OP', 'max'],
    ['MAGI_ATTENTION_KERNEL_BACKEND', 'cuda'],
  ])('refuses %s=%s', (variable, text) => {
    const read = () => readSwitches({ [variable]: text })
    expect(read).toThrow(ArgumentError)
    expect(read).toThrow(variable)
  })

  it('refuses what Python has and this build does not', () => {
    expect(() => readSwitches({ MAGI_ATTENTION_KERNEL_BACKEND: 'sdpa' })).toThrow(UnsupportedError)
  })
})
