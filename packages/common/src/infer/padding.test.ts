import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { triples } from '../../test/count-cells.js'
import { AttnRanges } from '../attn-ranges.js'
import { ArgumentError, InvalidRangeError, MagiError } from '../errors/index.js'
import { compute_pad_size } from './pad-size.js'
import { apply_padding } from './padding.js'
import { infer_varlen_mask_from_batch } from './varlen-batch.js'

describe('compute_pad_size', () => {
  it.each([
    [1024, 6, 208, 224],
    [10244, 8, 451, 580],
    [3840, 10, 128, 0],
    [42817, 12, 892, 10703],
    [13000, 17, 369, 5819],
    [1789, 2, 900, 11],
    [0, 4, 16, 0],
  ])(
    'pads %i tokens for %i ranks and chunks of %i by %i',
    (total_seqlen_q, cp_size, chunk_size, expected) => {
      expect(compute_pad_size({ total_seqlen_q, cp_size, chunk_size })).toBe(expected)
    },
  )

  it('is the smallest size that works', () => {
    const size = fc.integer({ min: 1, max: 50 })
    fc.assert(
      fc.property(fc.nat(5000), size, size, (total_seqlen_q, cp_size, chunk_size) => {
        const pad = compute_pad_size({ total_seqlen_q, cp_size, chunk_size })
        let smallest = 0
        while ((total_seqlen_q + smallest) % (cp_size * chunk_size) !== 0) smallest++
        expect(pad).toBe(smallest)
      }),
    )
  })

  it.each([
    ['total_seqlen_q', { total_seqlen_q: -1 }],
    ['total_seqlen_q', { total_seqlen_q: Number.NaN }],
    ['cp_size', { cp_size: 0 }],
    ['cp_size', { cp_size: '2' }],
    ['chunk_size', { chunk_size: 1.5 }],
    ['chunk_size', { chunk_size: 2 ** 52, cp_size: 4 }],
  ])('refuses a bad %s in %j', (argument, change) => {
    const call = () => compute_pad_size({ total_seqlen_q: 8, cp_size: 2, chunk_size: 2, ...change } as never)
    expect(call).toThrow(ArgumentError)
    expect(call).toThrow(new RegExp(`^${argument}: `))
  })
})

describe('apply_padding', () => {
  const mask = {
    q_ranges: AttnRanges.from_ranges([
      [0, 4],
      [4, 10],
    ]),
    k_ranges: AttnRanges.from_ranges([
      [0, 4],
      [0, 12],
    ]),
    attn_mask_type: ['causal', 'full'],
    total_seqlen_q: 10,
    total_seqlen_k: 12,
  }

  it('appends queries that see nothing and grows both totals', () => {
    const [q, k, types, totalQ, totalK] = apply_padding({ ...mask, pad_size: 6 })
    expect(triples(q, k, types)).toEqual([
      [[0, 4], [0, 4], 'causal'],
      [[4, 10], [0, 12], 'full'],
      [[10, 16], [0, 0], 'full'],
    ])
    expect([totalQ, totalK]).toEqual([16, 18])
    expect([mask.q_ranges.length, mask.k_ranges.length, mask.attn_mask_type.length]).toEqual([2, 2, 2])
  })

  it('returns a copy of the mask when there is nothing to pad', () => {
    const [q, k, types, totalQ, totalK] = apply_padding({ ...mask, attn_mask_type: 'causal', pad_size: 0 })
    expect([q.length, k.length, types, totalQ, totalK]).toEqual([2, 2, ['causal', 'causal'], 10, 12])
    expect(q).not.toBe(mask.q_ranges)
  })

  it('refuses ranges beyond their total, other lengths and wrong sizes', () => {
    expect(() => apply_padding({ ...mask, total_seqlen_k: 11, pad_size: 2 })).toThrow(InvalidRangeError)
    expect(() => apply_padding({ ...mask, total_seqlen_k: 11, pad_size: 2 })).toThrow(/^k_ranges\[1\]: /)
    expect(() => apply_padding({ ...mask, k_ranges: [[0, 4]], pad_size: 2 })).toThrow(/^k_ranges: expected 2/)
    expect(() => apply_padding({ ...mask, pad_size: -1 })).toThrow(/^pad_size: /)
    expect(() => apply_padding({ ...mask, attn_mask_type: ['full'], pad_size: 2 })).toThrow(MagiError)
    expect(() => apply_padding({ ...mask, attn_mask_type: 'bad', pad_size: 2 })).toThrow(ArgumentError)
    expect(() => apply_padding({ ...mask, q_ranges: 4 as never, pad_size: 2 })).toThrow(/^q_ranges: /)
  })
})

describe('infer_varlen_mask_from_batch', () => {
  it('counts equal samples', () => {
    const [q, k] = infer_varlen_mask_from_batch({ batch_size: 3, seq_len: 5 })
    expect(q).toEqual(Int32Array.of(0, 5, 10, 15))
    expect(k).toEqual(q)
    expect(k).not.toBe(q)
    expect(infer_varlen_mask_from_batch({ batch_size: 0, seq_len: 5 })[0]).toEqual(Int32Array.of(0))
  })

  it('refuses sizes that are no integers or do not fit into int32', () => {
    expect(() => infer_varlen_mask_from_batch({ batch_size: 1.5, seq_len: 5 })).toThrow(/^batch_size: /)
    expect(() => infer_varlen_mask_from_batch({ batch_size: 2, seq_len: -5 })).toThrow(/^seq_len: /)
    expect(() => infer_varlen_mask_from_batch({ batch_size: 65536, seq_len: 32768 })).toThrow(/^seq_len: /)
  })
})
