import {
  ArgumentError,
  DisposedError,
  DTypeError,
  IndexError,
  InvalidRangeError,
  MagiError,
  ShapeError,
  UnsupportedError,
} from '@magi-attention/common'
import { type DType, empty, from_typed_array, zeros } from '@magi-attention/tensor'
import { describe, expect, it } from 'vitest'
import { flex_flash_attn_backward, flex_flash_attn_forward, flex_flash_attn_func } from '../index.js'
import { ref_attn_func } from '../reference/index.js'

const tensorOf = (shape: number[], dtype: DType = 'float64') => empty(shape, { dtype })

/** A float64 call that works: the reference computes it, so that no library is needed. */
const good = () => ({
  q: zeros([4, 4, 8], { dtype: 'float64' }),
  k: zeros([6, 2, 8], { dtype: 'float64' }),
  v: zeros([6, 2, 8], { dtype: 'float64' }),
  q_ranges: [[0, 4]],
  k_ranges: [[0, 6]],
})

type ErrorType = new (...args: never[]) => Error

function expectRefusal(call: () => unknown, type: ErrorType, argument: string): void {
  expect(call).toThrow(type)
  expect(call).toThrow(expect.objectContaining({ argument }))
}

const disposed = tensorOf([4, 4, 8])
disposed.dispose()

const cases: [string, Record<string, unknown>, ErrorType, string][] = [
  ['q that is an array', { q: [1, 2, 3] }, ArgumentError, 'q'],
  ['q that is missing', { q: undefined }, ArgumentError, 'q'],
  ['k that is null', { k: null }, ArgumentError, 'k'],
  ['v that looks like a tensor', { v: { shape: [6, 2, 8], dtype: 'float64' } }, ArgumentError, 'v'],
  ['q that was disposed', { q: disposed }, DisposedError, 'q'],
  ['q of rank 2', { q: tensorOf([4, 32]) }, ShapeError, 'q'],
  ['q with a batch dimension', { q: tensorOf([1, 4, 4, 8]) }, ShapeError, 'q'],
  ['k of rank 2', { k: tensorOf([6, 16]) }, ShapeError, 'k'],
  ['integers', { q: tensorOf([4, 4, 8], 'int32') }, DTypeError, 'q'],
  ['k of another dtype', { k: tensorOf([6, 2, 8], 'bfloat16') }, DTypeError, 'k'],
  ['v of another dtype', { v: tensorOf([6, 2, 8], 'float32') }, DTypeError, 'v'],
  ['v of another length', { v: tensorOf([5, 2, 8]) }, ShapeError, 'v'],
  ['v of other heads', { v: tensorOf([6, 4, 8]) }, ShapeError, 'v'],
  ['v of another head_dim', { v: tensorOf([6, 2, 16]) }, ShapeError, 'v'],
  ['k of another head_dim', { k: tensorOf([6, 2, 16]) }, ShapeError, 'k'],
  ['heads that do not divide', { k: tensorOf([6, 3, 8]), v: tensorOf([6, 3, 8]) }, ShapeError, 'k'],
  ['more kv heads than heads', { k: tensorOf([6, 8, 8]), v: tensorOf([6, 8, 8]) }, ShapeError, 'k'],
  ['no heads', { q: tensorOf([4, 0, 8]) }, ShapeError, 'q'],
  ['no kv heads', { k: tensorOf([6, 0, 8]), v: tensorOf([6, 0, 8]) }, ShapeError, 'k'],
  ...[0, 1, 12, 264].map((dim): (typeof cases)[number] => [
    `head_dim ${dim}`,
    { q: tensorOf([4, 4, dim]), k: tensorOf([6, 2, dim]), v: tensorOf([6, 2, dim]) },
    ShapeError,
    'q',
  ]),
  ['softmax_scale NaN', { softmax_scale: Number.NaN }, ArgumentError, 'softmax_scale'],
  ['an infinite softmax_scale', { softmax_scale: Number.POSITIVE_INFINITY }, ArgumentError, 'softmax_scale'],
  ['a softmax_scale beyond float32', { softmax_scale: 1e39 }, ArgumentError, 'softmax_scale'],
  ['softmax_scale "1"', { softmax_scale: '1' }, ArgumentError, 'softmax_scale'],
  ['a negative softcap', { softcap: -1 }, ArgumentError, 'softcap'],
  ['softcap NaN', { softcap: Number.NaN }, ArgumentError, 'softcap'],
  ['an infinite softcap', { softcap: Number.POSITIVE_INFINITY }, ArgumentError, 'softcap'],
  ['softcap null', { softcap: null }, ArgumentError, 'softcap'],
  ['a bfloat16 sink', { sink: tensorOf([2, 4], 'bfloat16') }, DTypeError, 'sink'],
  ['an int32 sink', { sink: tensorOf([2, 4], 'int32') }, DTypeError, 'sink'],
  ['a sink that is an array', { sink: [[1, 2, 3, 4]] }, ArgumentError, 'sink'],
  ['a sink of other heads', { sink: tensorOf([2, 3], 'float32') }, ShapeError, 'sink'],
  ['a sink of rank 1', { sink: tensorOf([4], 'float32') }, ShapeError, 'sink'],
  ['a sink of rank 3 as sh', { sink: tensorOf([4, 2, 4], 'float32') }, ShapeError, 'sink'],
  ['9 sink tokens', { sink: tensorOf([9, 4], 'float32') }, ShapeError, 'sink'],
  ['0 sink tokens', { sink: tensorOf([0, 4], 'float32') }, ShapeError, 'sink'],
  ['a sink of rank 2 as ssh', { sink: tensorOf([2, 4], 'float32'), sink_layout: 'ssh' }, ShapeError, 'sink'],
  ['an ssh sink of 3 rows', { sink: tensorOf([3, 2, 4], 'float32'), sink_layout: 'ssh' }, ShapeError, 'sink'],
  ['layout shd', { sink_layout: 'shd' }, UnsupportedError, 'sink_layout'],
  ['layout hs', { sink_layout: 'hs' }, ArgumentError, 'sink_layout'],
  ['a reversed range', { q_ranges: [[3, 1]] }, InvalidRangeError, 'q_ranges[0]'],
  ['a range behind k', { k_ranges: [[0, 7]] }, InvalidRangeError, 'k_ranges[0]'],
  ['a mask type 5', { attn_type_map: [5] }, ArgumentError, 'attn_type_map[0]'],
  ['deterministic 1', { deterministic: 1 }, ArgumentError, 'deterministic'],
  ['sm_margin -1', { sm_margin: -1 }, ArgumentError, 'sm_margin'],
  ['sm_margin 1.5', { sm_margin: 1.5 }, ArgumentError, 'sm_margin'],
  ['max_seqlen_q "8"', { max_seqlen_q: '8' }, ArgumentError, 'max_seqlen_q'],
  ['ref_block_size 64', { ref_block_size: 64 }, ArgumentError, 'ref_block_size'],
  ['ref_block_size of 0', { ref_block_size: [64, 0] }, ArgumentError, 'ref_block_size[1]'],
  ['auto_range_merge "yes"', { auto_range_merge: 'yes' }, ArgumentError, 'auto_range_merge'],
  ['index_attn without indices', { index_attn: true }, ArgumentError, 'index_attn_indices'],
  [
    'ranges beside key indices',
    { index_attn_indices: tensorOf([4, 2, 3], 'int32') },
    ArgumentError,
    'q_ranges',
  ],
  ['a q_block_size of 2', { q_block_size: 2 }, UnsupportedError, 'q_block_size'],
  ['a k_block_size of 0', { k_block_size: 0 }, ArgumentError, 'k_block_size'],
]

describe('flex_flash_attn_func', () => {
  it('takes the call that the refusals below vary', () => {
    const [out, meta] = flex_flash_attn_func(good())
    expect(out.shape).toEqual([4, 4, 8])
    expect(meta.lse.tolist()).toEqual(Array.from({ length: 4 }, () => new Array(4).fill(Math.log(6))))
    expect(meta.max_logits).toBeNull()
  })

  it.each(cases)('refuses %s', (_, change, type, argument) => {
    expectRefusal(() => flex_flash_attn_func({ ...good(), ...change } as never), type, argument)
    expectRefusal(() => flex_flash_attn_forward({ ...good(), ...change } as never), type, argument)
    expectRefusal(() => ref_attn_func({ ...good(), ...change } as never), type, argument)
    const { q } = good()
    const rest = { out: q, lse: zeros([4, 4], { dtype: 'float64' }), grad_out: q }
    expectRefusal(() => flex_flash_attn_backward({ ...good(), ...rest, ...change } as never), type, argument)
    // Nothing is left behind: the next call works.
    expect(flex_flash_attn_func(good())[0].shape).toEqual([4, 4, 8])
  })

  it.each([
    ['softmaxscale', 'softmax_scale'],
    ['softmaxScale', 'softmax_scale'],
    ['soft_cap', 'softcap'],
    ['q_range', 'q_ranges'],
    ['return_max_logit', 'return_max_logits'],
    ['attn_mask_type', 'attn_type_map'],
    ['sinks', 'sink'],
  ])('suggests a name for the unknown option %s', (typo, name) => {
    const call = () => flex_flash_attn_func({ ...good(), [typo]: 1 })
    expectRefusal(call, ArgumentError, typo)
    if (typo !== 'attn_mask_type') expect(call).toThrow(`Did you mean ${name}?`)
    else expect(call).toThrow(name)
  })

  it.each([[undefined], [null], [3], ['q'], [[]]])('refuses %s as options', value => {
    expectRefusal(() => flex_flash_attn_func(value as never), ArgumentError, 'options')
  })

  it('refuses return_max_logits that is no boolean', () => {
    const call = () => flex_flash_attn_func({ ...good(), return_max_logits: 1 } as never)
    expectRefusal(call, ArgumentError, 'return_max_logits')
  })

  it('accepts every performance flag', () => {
    const flags = {
      deterministic: true,
      sm_margin: 8,
      disable_fwd_atomic_reduction: true,
      disable_bwd_dkv_atomic_reduction: false,
      ref_block_size: [64, 128] as [number, number],
      max_seqlen_q: 4,
      auto_range_merge: true,
      swap_ab: true,
      pack_gqa: true,
      cat_gqa: false,
      sparse_load: true,
      swap_bwd_qk_loop: true,
      index_attn: false,
      index_attn_indices: null,
      q_block_size: 1,
      k_block_size: 1,
    }
    const [expected] = flex_flash_attn_func(good())
    expect(flex_flash_attn_func({ ...good(), ...flags })[0].equal(expected)).toBe(true)
    const none = { ref_block_size: null, max_seqlen_q: null, softmax_scale: null, sink: null }
    expect(flex_flash_attn_func({ ...good(), ...none })[0].equal(expected)).toBe(true)
  })

  it('names what was expected and what came', () => {
    const message = 'k_ranges[0]: expected a range within [0, 6), where 6 is total_k, got [0, 7].'
    expect(() => flex_flash_attn_func({ ...good(), k_ranges: [[0, 7]] })).toThrow(message)
    try {
      flex_flash_attn_func({ ...good(), k_ranges: [[0, 7]] })
      expect.unreachable()
    } catch (error) {
      expect(MagiError.isInstance(error) && error.code).toBe('ERR_RANGE')
    }
  })
})

describe('index_attn_indices', () => {
  const int32 = (...values: number[]) => from_typed_array(Int32Array.from(values), [1, 2, values.length / 2])
  const base = { ...good(), q: tensorOf([1, 4, 8]), q_ranges: null, k_ranges: null }

  it.each<[string, unknown, ErrorType, string]>([
    ['an array', [[[0], [1]]], ArgumentError, 'index_attn_indices'],
    ['floats', tensorOf([1, 2, 3], 'float32'), DTypeError, 'index_attn_indices'],
    ['other rows', tensorOf([2, 2, 3], 'int32'), ShapeError, 'index_attn_indices'],
    ['other heads', tensorOf([1, 4, 3], 'int32'), ShapeError, 'index_attn_indices'],
    ['rank 2', tensorOf([1, 2], 'int32'), ShapeError, 'index_attn_indices'],
    ['a key behind k', int32(0, 6), IndexError, 'index_attn_indices'],
    ['a key below -1', int32(0, -2), IndexError, 'index_attn_indices'],
    ['a key behind the padding', int32(0, 1, 2, -1, 1, 2), ArgumentError, 'index_attn_indices'],
  ])('refuses %s', (_, index_attn_indices, type, argument) => {
    const options = { ...base, index_attn_indices } as never
    expectRefusal(() => flex_flash_attn_func(options), type, argument)
    expectRefusal(() => flex_flash_attn_forward(options), type, argument)
    expectRefusal(() => ref_attn_func(options), type, argument)
  })

  it('refuses mask types', () => {
    const options = { ...base, index_attn_indices: int32(0, 1), attn_type_map: [1] }
    expectRefusal(() => flex_flash_attn_func(options), ArgumentError, 'attn_type_map')
  })
})

describe('flex_flash_attn_forward', () => {
  const out = () => zeros([4, 4, 8], { dtype: 'float64' })
  const lse = () => zeros([4, 4], { dtype: 'float64' })

  it.each<[string, Record<string, unknown>, ErrorType, string]>([
    ['out without lse', { out: out() }, ArgumentError, 'lse'],
    ['lse without out', { lse: lse() }, ArgumentError, 'out'],
    ['out of another dtype', { out: tensorOf([4, 4, 8], 'float32'), lse: lse() }, DTypeError, 'out'],
    ['lse of another dtype', { out: out(), lse: tensorOf([4, 4], 'float32') }, DTypeError, 'lse'],
    ['out of another shape', { out: tensorOf([4, 4, 16]), lse: lse() }, ShapeError, 'out'],
    ['lse of another shape', { out: out(), lse: tensorOf([4, 2]) }, ShapeError, 'lse'],
    ['an out_dtype that q does not have', { out_dtype: 'float16' }, ArgumentError, 'out_dtype'],
    ['an out_dtype beside out', { out: out(), lse: lse(), out_dtype: 'float32' }, ArgumentError, 'out_dtype'],
    ['an out that requires a gradient', { out: requiring(out()), lse: lse() }, ArgumentError, 'out'],
  ])('refuses %s', (_, change, type, argument) => {
    expectRefusal(() => flex_flash_attn_forward({ ...good(), ...change } as never), type, argument)
  })

  it('refuses to accumulate into its own inputs', () => {
    const options = { ...good(), q: out() }
    expectRefusal(
      () => flex_flash_attn_forward({ ...options, out: options.q, lse: lse() }),
      ArgumentError,
      'out',
    )
    const memory = zeros([2, 4, 4, 8], { dtype: 'float64' })
    const shared = { out: memory.view(8, 4, 8).narrow(0, 1, 4), q: memory.view(8, 4, 8).narrow(0, 0, 4) }
    expectRefusal(() => flex_flash_attn_forward({ ...good(), ...shared, lse: lse() }), ArgumentError, 'out')
  })

  function requiring(tensor: ReturnType<typeof out>) {
    tensor.requires_grad = true
    return tensor
  }
})

describe('flex_flash_attn_backward', () => {
  const rest = () => ({ out: tensorOf([4, 4, 8]), lse: tensorOf([4, 4]), grad_out: tensorOf([4, 4, 8]) })

  it.each<[string, Record<string, unknown>, ErrorType, string]>([
    ['no grad_out', { grad_out: undefined }, ArgumentError, 'grad_out'],
    ['no lse', { lse: null }, ArgumentError, 'lse'],
    ['grad_out of another dtype', { grad_out: tensorOf([4, 4, 8], 'float32') }, DTypeError, 'grad_out'],
    ['grad_out of another shape', { grad_out: tensorOf([4, 2, 8]) }, ShapeError, 'grad_out'],
    ['out of another dtype', { out: tensorOf([4, 4, 8], 'float32') }, DTypeError, 'out'],
    ['lse of another shape', { lse: tensorOf([4, 3]) }, ShapeError, 'lse'],
    ['return_max_logits', { return_max_logits: true }, ArgumentError, 'return_max_logits'],
    ['grad_dtype int32', { grad_dtype: 'int32' }, ArgumentError, 'grad_dtype'],
    ['less precision', { grad_dtype: 'float32' }, ArgumentError, 'grad_dtype'],
  ])('refuses %s', (_, change, type, argument) => {
    expectRefusal(
      () => flex_flash_attn_backward({ ...good(), ...rest(), ...change } as never),
      type,
      argument,
    )
  })
})
