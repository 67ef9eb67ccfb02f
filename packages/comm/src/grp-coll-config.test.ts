import { ArgumentError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { GrpCollConfig } from './grp-coll-config.js'

describe('GrpCollConfig', () => {
  it('keeps what it is given, beside the defaults', () => {
    const config = new GrpCollConfig({ num_sms: 8, num_rdma_bytes: 5 })
    expect(config).toMatchObject({ num_sms: 8, nvl_chunk_size: 8, num_nvl_bytes: 2e9, num_rdma_bytes: 5 })
    expect(Object.isFrozen(config)).toBe(true)
    expect(`${config}`).toContain('num_sms=8, nvl_chunk_size=8')
  })

  it.each([{ num_sms: 0 }, { nvl_buffer_size: 1.5 }, { num_rdma_bytes: -1 }, { sms: 3 }, 'small'])(
    'refuses %o',
    options => {
      expect(() => new GrpCollConfig(options as object)).toThrow(ArgumentError)
    },
  )
})
