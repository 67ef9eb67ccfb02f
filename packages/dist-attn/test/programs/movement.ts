/** Moving dispatched tensors: against what the whole sequence says. */
import assert from 'node:assert/strict'
import { destroy_process_group, init_process_group } from '@magi-attention/comm'
import { DispatchConfig } from '@magi-attention/dispatch'
import { arange, type DType, ones, type Tensor, TensorScope, tensor } from '@magi-attention/tensor'
import {
  DistAttnConfig,
  type DistAttnRuntimeKey,
  dispatch,
  get_position_ids,
  magi_attn_flex_key,
  magi_attn_varlen_dispatch,
  roll,
  roll_simple,
  undispatch,
} from '../../src/index.js'

const group = init_process_group({ timeout: 60 })
const me = group.rank()

function makeKey(total: number, chunk_size: number, uneven_shard: boolean): DistAttnRuntimeKey {
  return magi_attn_flex_key({
    q_ranges: [[0, total]],
    k_ranges: [[0, total]],
    attn_mask_type: 'causal',
    total_seqlen_q: total,
    total_seqlen_k: total,
    chunk_size,
    cp_group_or_mesh: group,
    dist_attn_config: new DistAttnConfig({ dispatch_config: new DispatchConfig({ uneven_shard }) }),
  })
}

/** Numbers 1, 2, … as `[total, columns]`. */
function count(total: number, columns: number, dtype: DType): Tensor {
  return arange(1, 1 + total * columns)
    .to(dtype)
    .view(total, columns)
}

function checkMovement(total: number, chunk_size: number, uneven: boolean, dtype: DType): void {
  const key = makeKey(total, chunk_size, uneven)
  const what = `${key}, ${dtype}`
  const padded = key.total_seqlen_q
  const isFloat = !dtype.startsWith('int')
  const x = count(total, 2, dtype)
  if (isFloat) x.requires_grad = true

  const local = dispatch({ x, key, pad_value: -7 })
  const ids = get_position_ids(key).tolist() as number[]
  assert.equal(local.shape[0], ids.length, what)
  const rows = local.tolist() as number[][]
  rows.forEach(([first], i) => {
    if (Number(first) === -7) assert.equal(ids[i], total - 1, what)
    else assert.equal(Number(first), 1 + 2 * ids[i]!, what)
  })
  const back = undispatch({ x: local, key })
  assert.ok(back.equal(x), `${what}: undispatch(dispatch(x)) is x`)

  const whole = [...(x.tolist() as number[][]), ...Array.from({ length: padded - total }, () => [-7, -7])]
  for (const shift of [0, 1, -1, chunk_size, 3 * chunk_size + 2, -padded - 5, padded, 2 * padded - 1]) {
    const start = (((-shift % padded) + padded) % padded) as number
    const rolled = [...whole.slice(start), ...whole.slice(0, start)].slice(0, total)
    const expected = rolled.map(row => row.map(Number))
    for (const [name, move] of Object.entries({ roll, roll_simple })) {
      const moved = undispatch({ x: move({ x: local, shift, dim: 0, key }), key })
      const values = (moved.tolist() as number[][]).map(row => row.map(Number))
      assert.deepEqual(values, expected, `${what}: ${name} by ${shift}`)
    }
  }

  if (!isFloat) return
  // Each output row weighs differently, so that a gradient at the wrong row shows.
  const weights = count(total, 2, dtype)
  undispatch({ x: local, key }).mul(weights).sum().backward()
  assert.ok(x.grad!.equal(weights), `${what}: gradient of undispatch and dispatch`)
  x.zero_grad()
  undispatch({ x: dispatch({ x, key }), key, is_partial_grad: true })
    .mul(weights)
    .sum()
    .backward()
  assert.ok(x.grad!.equal(weights.mul(group.size())), `${what}: partial gradients add up`)
  x.zero_grad()
  undispatch({ x: roll({ x: dispatch({ x, key }), shift: 5, key }), key })
    .mul(weights)
    .sum()
    .backward()
  const weightRows = weights.tolist() as number[][]
  const expected = Array.from({ length: total }, (_, i) => weightRows[(i + 5) % padded] ?? [0, 0])
  assert.deepEqual(x.grad!.tolist(), expected, `${what}: gradient of roll`)
}

/** Tokens along each dimension of a tensor, as batches of sequences have them: rolled as they would be along the first. */
function checkRollAlong(dim: number, before: readonly number[], after: readonly number[]): void {
  const key = makeKey(46, 3, false)
  const tokens = get_position_ids(key).shape[0]!
  const what = `roll along dimension ${dim} of [${[...before, tokens, ...after]}]`
  const outer = before.reduce((product, size) => product * size, 1)
  const inner = after.reduce((product, size) => product * size, 1)
  const x = arange(me, me + outer * tokens * inner)
    .to('float32')
    .view(...before, tokens, ...after)
  x.requires_grad = true
  const slices = (y: Tensor) =>
    Array.from({ length: outer }, (_, i) =>
      y.detach().view(outer, tokens, inner).narrow(0, i, 1).view(tokens, inner),
    )
  for (const move of [roll, roll_simple]) {
    x.zero_grad()
    const rolled = move({ x, shift: 7, dim, key })
    assert.deepEqual(rolled.shape, x.shape, what)
    const expected = slices(x).map(slice => move({ x: slice, shift: 7, key }))
    assert.ok(
      slices(rolled).every((slice, i) => slice.equal(expected[i]!)),
      what,
    )
    const weights = x.detach().mul(3)
    rolled.backward(weights)
    const grads = slices(weights).map(slice => move({ x: slice, shift: -7, key }))
    assert.ok(
      slices(x.grad!).every((slice, i) => slice.equal(grads[i]!)),
      `${what}: gradient`,
    )
  }
}

const sizes: [total: number, chunk: number, uneven: boolean, dtype: DType][] = [
  [64, 4, false, 'float32'],
  [50, 4, false, 'float32'],
  [50, 4, true, 'float32'],
  [37, 1, true, 'float64'],
  [48, 3, false, 'int64'],
  [41, 2, true, 'int32'],
]
for (const [total, chunk, uneven, dtype] of sizes) {
  const scope = new TensorScope()
  scope.run(() => checkMovement(total, chunk, uneven, dtype))
  scope.dispose()
}

for (const [dim, before, after] of [
  [1, [3], []],
  [-1, [1, 2], []],
  [1, [1], [4]],
  [-2, [2, 2], [3]],
  [1, [0], [3]],
] as const) {
  const scope = new TensorScope()
  scope.run(() => checkRollAlong(dim, before, after))
  scope.dispose()
}

// A packed batch, whose sums are a tensor.
const sums = tensor([0, 10, 33, 40], { dtype: 'int32' })
const [localX, key] = magi_attn_varlen_dispatch(ones(40, 3), {
  cu_seqlens_q: sums,
  cu_seqlens_k: sums,
  causal: true,
  chunk_size: 2,
  cp_group_or_mesh: group,
})
assert.equal(localX.shape[0], key.total_seqlen_q / group.size())
const sent = group.bytesSent()
dispatch({ x: ones(40, 3), key })
assert.equal(group.bytesSent(), sent, `rank ${me}: dispatch sends nothing`)

destroy_process_group()
