/** Keys, their cache, new masks on an old dispatch, and bad input, which every rank refuses alike. */
import assert from 'node:assert/strict'
import {
  all_gather,
  destroy_process_group,
  GrpCollConfig,
  init_device_mesh,
  init_process_group,
  new_group,
  type ProcessGroup,
} from '@magi-attention/comm'
import { MagiError } from '@magi-attention/common'
import { DispatchConfig, OverlapConfig, SequentialDispatchAlg } from '@magi-attention/dispatch'
import { flex_flash_attn_func } from '@magi-attention/ffa-kernel'
import { empty, int32, ones, randn, randn_like, tensor, zeros } from '@magi-attention/tensor'
import {
  calc_attn,
  clear_cache,
  DistAttnConfig,
  type DistAttnRuntimeKey,
  dist_attn_runtime_dict_mgr as dict,
  dispatch,
  get_most_recent_key,
  get_position_ids,
  type MagiAttnFlexKeyOptions,
  magi_attn_flex_dispatch,
  magi_attn_flex_key,
  magi_attn_varlen_key,
  make_flex_key_for_new_mask_after_dispatch,
  make_varlen_key_for_new_mask_after_dispatch,
  roll,
  undispatch,
} from '../../src/index.js'
import { type AttentionCase, caseDefaults, maskFamilies } from '../helpers/attention-case.js'
import { compareWithReference, makeInputs, makeKey, runCase } from '../helpers/run-case.js'

const world = init_process_group({ timeout: 60 })
const size = world.size()
const total = 16 * size

const base: MagiAttnFlexKeyOptions = {
  q_ranges: [[0, total]],
  k_ranges: [[0, total]],
  attn_mask_type: 'causal',
  total_seqlen_q: total,
  total_seqlen_k: total,
  chunk_size: 4,
  cp_group_or_mesh: world,
}
const make = (more: object = {}): DistAttnRuntimeKey => magi_attn_flex_key({ ...base, ...more })

/** Every rank must throw the same error, and tells the others so. */
function refuses(body: () => unknown, code: string, argument: string): void {
  let found = 'nothing'
  try {
    body()
  } catch (error) {
    if (!MagiError.isInstance(error)) throw error
    found = `${error.code} ${error.argument}`
  }
  assert.equal(found, `${code} ${argument}`)
  const codes = empty(size, { dtype: int32 })
  all_gather(codes, tensor([1], { dtype: int32 }))
  assert.equal(codes.sum().item(), size)
}

function withVariable(name: string, value: string, body: () => void): void {
  process.env[`MAGI_ATTENTION_${name}`] = value
  try {
    body()
  } finally {
    delete process.env[`MAGI_ATTENTION_${name}`]
  }
}

// --- Values and the cache --- //

const key = make()
assert.ok(key.equals(make()) && key.hash() === make().hash() && Object.isFrozen(key))
assert.equal(key.pad_size, 0)
assert.equal(key.num_heads_q, null)
assert.ok(!key.equals(make({ num_heads_q: 2, num_heads_kv: 1, head_dim: 8 })))
assert.ok(!key.equals(make({ chunk_size: 2 })))
const grpcoll_config = new GrpCollConfig({ num_sms: 8 })
assert.ok(!key.equals(make({ dist_attn_config: new DistAttnConfig({ grpcoll_config }) })))
key.q_ranges.append([0, 1])
assert.equal(key.q_ranges.length, 1)
clear_cache()
assert.equal(dict.size(), 0)

const [first, second] = [make(), make({ chunk_size: 2 })]
assert.equal(get_most_recent_key(world), second)
assert.ok(dict.has(first) && get_most_recent_key(world) === second, 'looking is no use')
get_position_ids(first)
assert.equal(get_most_recent_key(world), first)
withVariable('DIST_ATTN_RUNTIME_DICT_SIZE', '2', () => {
  make({ chunk_size: 8 })
  assert.deepEqual([dict.size(world), dict.has(first), dict.has(second)], [2, true, false])
})
refuses(() => get_position_ids(second), 'ERR_ARGUMENT', 'key')
const pair = new_group([0, size - 1].filter((rank, i, ranks) => ranks.indexOf(rank) === i))
if (pair && size > 2) {
  const ofPair = make({ cp_group_or_mesh: pair })
  assert.equal(get_most_recent_key(pair), ofPair)
  clear_cache(pair)
  assert.ok(!dict.has(ofPair) && dict.has(first))
}
withVariable('DIST_ATTN_RUNTIME_DICT_SIZE', '0', () => assert.ok(!dict.has(make({ chunk_size: 1 }))))

// --- Sizes --- //

const odd = { total_seqlen_q: total - 3, total_seqlen_k: total - 3, q_ranges: [[0, 5]], k_ranges: [[0, 5]] }
assert.deepEqual([make(odd).pad_size, make(odd).total_seqlen_q], [3, total])
assert.equal(make({ ...odd, pad_size: 3 + 4 * size }).total_seqlen_q, total + 4 * size)
assert.equal(make({ ...odd, chunk_size: undefined }).chunk_size, Math.ceil((total - 3) / (8 * size)))
withVariable('MIN_CHUNKS_PER_RANK', '2', () => {
  assert.equal(make({ chunk_size: null }).chunk_size, 8)
})
const dispatch_config = new DispatchConfig({ chunk_size: 2, alg: new SequentialDispatchAlg() })
const configured = new DistAttnConfig({ dispatch_config })
assert.equal(make({ chunk_size: undefined, dist_attn_config: configured }).chunk_size, 2)
const sequential = make({ chunk_size: 2, dist_attn_config: configured })
const ids = get_position_ids(sequential).tolist() as number[]
assert.deepEqual(
  ids,
  ids.map((_, i) => world.rank() * 16 + i),
)
const windowed = magi_attn_varlen_key({
  cu_seqlens_q: [0, 7, total],
  cu_seqlens_k: [0, 7, total],
  window_size: [3, 0],
  cp_group_or_mesh: world,
})
assert.ok(windowed.attn_mask_type.includes('bi_causal'))
refuses(() => make({ ...odd, pad_size: 2 }), 'ERR_ARGUMENT', 'pad_size')
refuses(() => make({ pad_size: 1.5 }), 'ERR_ARGUMENT', 'pad_size')
refuses(() => make({ chunk_size: 3, dist_attn_config: configured }), 'ERR_ARGUMENT', 'chunk_size')
refuses(() => make({ chunk_size: Number.NaN }), 'ERR_ARGUMENT', 'chunk_size')
refuses(() => make({ chunk_size: '4' }), 'ERR_ARGUMENT', 'chunk_size')
if (size > 1) refuses(() => make({ chunk_size: total }), 'ERR_ARGUMENT', 'chunk_size')

// --- Bad input --- //

refuses(() => make({ q_ranges: [[5, 3]] }), 'ERR_RANGE', 'q_ranges[0]')
refuses(() => make({ k_ranges: [[0, total + 1]] }), 'ERR_RANGE', 'k_ranges[0]')
refuses(() => make({ k_ranges: [] }), 'ERR_SHAPE', 'k_ranges')
refuses(() => make({ attn_mask_type: 'diagonal' }), 'ERR_ARGUMENT', 'attn_mask_type')
refuses(() => make({ attn_mask_type: ['full', 'full'] }), 'ERR_SHAPE', 'attn_mask_type')
refuses(() => make({ total_seqlen_k: total + 1 }), 'ERR_SHAPE', 'total_seqlen_k')
refuses(() => make({ k_ranges: [[4, 4]] }), 'ERR_ARGUMENT', 'q_ranges, k_ranges')
refuses(() => make({ cp_group_or_mesh: 'world' }), 'ERR_ARGUMENT', 'cp_group_or_mesh')
refuses(() => make({ num_heads_q: 3, num_heads_kv: 2, head_dim: 8 }), 'ERR_ARGUMENT', 'num_heads_kv')
refuses(() => make({ num_heads_q: 2 }), 'ERR_ARGUMENT', 'num_heads_kv')
refuses(() => make({ chunksize: 4 }), 'ERR_ARGUMENT', 'chunksize')
refuses(() => make({ dist_attn_config: {} }), 'ERR_ARGUMENT', 'dist_attn_config')
refuses(() => new DistAttnConfig({ grpcoll_config: {} as never }), 'ERR_ARGUMENT', 'grpcoll_config')
refuses(() => new DistAttnConfig({ overlap_config: null as never }), 'ERR_ARGUMENT', 'overlap_config')
refuses(
  () => make({ is_same_source: false, is_q_permutable: true, is_k_permutable: false }),
  'ERR_UNSUPPORTED',
  'is_same_source, is_q_permutable, is_k_permutable',
)
withVariable('FLATTEN_HEAD_GROUPS', '1', () => {
  refuses(make, 'ERR_ARGUMENT', 'num_heads_kv')
  const flattened = make({ num_heads_q: 2, num_heads_kv: 1, head_dim: 8 })
  const tensors = { q: zeros(16, 2, 8), k: zeros(16, 1, 8), v: zeros(16, 1, 8), key: flattened }
  refuses(() => calc_attn({ ...tensors, sink: zeros(1, 2) }), 'ERR_UNSUPPORTED', 'sink')
  refuses(() => calc_attn({ ...tensors, return_max_logits: true }), 'ERR_UNSUPPORTED', 'return_max_logits')
})
withVariable('KERNEL_BACKEND', 'sdpa', () =>
  refuses(make, 'ERR_UNSUPPORTED', 'MAGI_ATTENTION_KERNEL_BACKEND'),
)
withVariable('PRECISION', 'half', () => refuses(make, 'ERR_ARGUMENT', 'MAGI_ATTENTION_PRECISION'))
withVariable('HIERARCHICAL_COMM', '1', () => refuses(make, 'ERR_ARGUMENT', 'cp_group_or_mesh'))

const good = make({ num_heads_q: 2, num_heads_kv: 1, head_dim: 8 })
const [q, k, v] = [randn(16, 2, 8), randn(16, 1, 8), randn(16, 1, 8)]
const attend = (more: object = {}) => calc_attn({ q, k, v, key: good, ...more })
refuses(() => attend({ q: randn(15, 2, 8) }), 'ERR_SHAPE', 'q')
refuses(() => attend({ q: randn(16, 4, 8) }), 'ERR_SHAPE', 'q')
refuses(() => attend({ k: randn(16, 1, 16) }), 'ERR_SHAPE', 'k')
refuses(() => attend({ v: randn(16, 2, 8) }), 'ERR_SHAPE', 'v')
refuses(() => attend({ k: randn(16, 1, 8, { dtype: 'bfloat16' }) }), 'ERR_DTYPE', 'k')
refuses(() => attend({ sink: randn(2, 3) }), 'ERR_SHAPE', 'sink')
refuses(() => attend({ sink: randn(2, 2, { dtype: 'bfloat16' }) }), 'ERR_DTYPE', 'sink')
refuses(() => attend({ softcap: -1 }), 'ERR_ARGUMENT', 'softcap')
refuses(() => attend({ softmax_scale: Number.NaN }), 'ERR_ARGUMENT', 'softmax_scale')
refuses(() => attend({ scale: 1 }), 'ERR_ARGUMENT', 'scale')
refuses(() => attend({ key: null }), 'ERR_ARGUMENT', 'key')
refuses(() => dispatch({ x: zeros(total + 1, 2), key: good }), 'ERR_SHAPE', 'x')
refuses(() => undispatch({ x: zeros(17, 2), key: good }), 'ERR_SHAPE', 'x')
refuses(() => roll({ x: zeros(16, 2), shift: 0.5, key: good }), 'ERR_ARGUMENT', 'shift')
refuses(() => roll({ x: zeros(16, 2), shift: 1, dim: 1, key: good }), 'ERR_SHAPE', 'x')
refuses(() => roll({ x: zeros(16, 2), shift: 1, dim: 2, key: good }), 'ERR_ARGUMENT', 'dim')
const { max_logits } = attend()[1]
assert.equal(max_logits, null)

// --- Only what is planned travels: k and v forward, their gradients backward, in float32 here --- //

{
  const { plan } = dict.get(good)!
  const plans = plan.comm_meta.kv_group_collective_args_list
  const rowBytes = 2 * 8 * 4 // k and v, one head of 8
  // A row for several ranks is written once.
  const cast = plans.flatMap(({ input_split_size_list: sizes, dst_indices_list: to }) =>
    sizes.map((rows, i) => (to[i]!.length > 0 ? rows : 0)),
  )
  const returned = plans.map(({ num_received_tokens: rows }) => rows)
  const sum = (list: readonly number[]) => list.reduce((total, rows) => total + rows, 0)
  for (const leaf of [q, k, v]) leaf.requires_grad = true
  const before = world.bytesSent()
  const [out] = attend()
  const between = world.bytesSent()
  assert.equal(between - before, rowBytes * sum(cast))
  out.backward(randn_like(out))
  assert.equal(world.bytesSent() - between, rowBytes * (sum(cast) + sum(returned)))
}

// --- Another mask on the same dispatch --- //

const problem: AttentionCase = { ...caseDefaults, ...maskFamilies.causal!(96), name: 'new mask', seed: 3 }
function checkNewMask(name: string, newKey: DistAttnRuntimeKey, mask: (total: number) => object): void {
  const other = { ...problem, ...mask(96), name } as AttentionCase
  const inputs = makeInputs(other)
  const results = runCase(other, newKey, inputs)
  if (world.rank() === 0) compareWithReference(other, inputs, results)
}
const old = makeKey(problem, world)
const overlap_config = new OverlapConfig({ degree: 2, min_chunk_size: 4 })
const { q_ranges, k_ranges, attn_mask_type } = maskFamilies['all types']!(96)
const flexKey = make_flex_key_for_new_mask_after_dispatch({
  q_ranges,
  k_ranges,
  attn_mask_type,
  key_for_dispatch: old,
  dist_attn_config: new DistAttnConfig({ overlap_config }),
})
assert.deepEqual(get_position_ids(flexKey).tolist(), get_position_ids(old).tolist())
assert.deepEqual([flexKey.num_heads_q, flexKey.dist_attn_config.overlap_config], [2, overlap_config])
checkNewMask('flex', flexKey, maskFamilies['all types']!)
const sums = { cu_seqlens_q: [0, 30, 96], cu_seqlens_k: [0, 30, 96] }
const varlenKey = make_varlen_key_for_new_mask_after_dispatch({
  ...sums,
  causal: true,
  key_for_dispatch: old,
})
checkNewMask('varlen', varlenKey, () => ({
  q_ranges: [
    [0, 30],
    [30, 96],
  ],
  k_ranges: [
    [0, 30],
    [30, 96],
  ],
  attn_mask_type: ['causal', 'causal'],
}))
refuses(
  () =>
    make_varlen_key_for_new_mask_after_dispatch({ ...sums, cu_seqlens_k: [0, 9, 95], key_for_dispatch: old }),
  'ERR_ARGUMENT',
  'cu_seqlens_k',
)

// --- Cross-attention to keys that are not dispatched --- //

{
  const refs = {
    ref_xattn_q_ranges: [
      [0, 50],
      [50, 96],
      [20, 60],
    ],
    ref_xattn_k_ranges: [
      [0, 7],
      [3, 30],
      [31, 33],
    ],
  } as const
  const manager = dict.get(old)!
  const [queries, keys, values] = [randn(96, 2, 8), randn(40, 1, 8), randn(40, 1, 8)]
  const host = manager.get_xattn_args({ ...refs, attn_mask_type: 'full', return_host_only: true })
  const ofMask = { q_ranges: refs.ref_xattn_q_ranges, k_ranges: refs.ref_xattn_k_ranges }
  const [expected] = flex_flash_attn_func({ q: queries, k: keys, v: values, ...ofMask })
  const [ofHost] = flex_flash_attn_func({
    q: manager.dispatch_qo(queries),
    k: keys,
    v: values,
    q_ranges: host.q_ranges,
    k_ranges: host.k_ranges,
  })
  assert.ok(manager.undispatch_qo(ofHost).equal(expected), 'cross-attention of each rank')
  const all = manager.get_xattn_args({ ...refs, attn_mask_type: ['full', 'full', 'full'] })
  const [ofAll] = flex_flash_attn_func({
    q: queries,
    k: keys,
    v: values,
    q_ranges: all.q_ranges,
    k_ranges: all.k_ranges,
  })
  assert.ok(ofAll.equal(expected), 'cross-attention of all ranks')
  refuses(
    () => manager.get_xattn_args({ ...refs, attn_mask_type: 'causal' }),
    'ERR_UNSUPPORTED',
    'attn_mask_type[0]',
  )
  refuses(
    () => manager.get_xattn_args({ ...refs, ref_xattn_q_ranges: [[0, 97]], attn_mask_type: 'full' }),
    'ERR_RANGE',
    'ref_xattn_q_ranges[0]',
  )
}

// --- Two levels --- //

if (size === 4) {
  withVariable('HIERARCHICAL_COMM', '1', () => {
    const mesh = init_device_mesh('cpu', [2, 2])
    const meshed = { ...problem, ...maskFamilies['all types']!(96), name: 'two levels', degree: 2 }
    const meshKey = makeKey(meshed, mesh as unknown as ProcessGroup)
    assert.equal(meshKey.cp_mesh, mesh)
    const inputs = makeInputs(meshed)
    const results = runCase(meshed, meshKey, inputs)
    if (world.rank() === 0) compareWithReference(meshed, inputs, results)
  })
}

// --- The same bits in every run; heads of any number with a key that names none --- //

const [localX, plain] = magi_attn_flex_dispatch(ones(total, 4), base)
assert.deepEqual([localX.shape[0], plain.equals(key)], [16, true])
const wide = { q: randn(16, 6, 16), k: randn(16, 3, 16), v: randn(16, 3, 16), key: plain }
assert.ok(calc_attn(wide)[0].equal(calc_attn(wide)[0]))

for (const mergeStages of ['auto', 'never']) {
  withVariable('MERGE_STAGES', mergeStages, () => {
    const again = make({
      dist_attn_config: new DistAttnConfig({
        overlap_config: new OverlapConfig({ degree: 2, min_chunk_size: 2 }),
      }),
    })
    const leaves = [randn(16, 4, 16), randn(16, 2, 16), randn(16, 2, 16)] as const
    for (const leaf of leaves) leaf.requires_grad = true
    const [q, k, v] = leaves
    const gradOut = randn_like(q).detach()
    const runs = [0, 1].map(() => {
      for (const leaf of leaves) leaf.zero_grad()
      const [out] = calc_attn({ q, k, v, key: again })
      out.backward(gradOut)
      return [out.detach(), ...leaves.map(leaf => leaf.grad!.clone())]
    })
    assert.ok(
      runs[0]!.every((values, i) => values.equal(runs[1]![i]!)),
      `${mergeStages}: the same bits`,
    )
  })
}

destroy_process_group()
assert.throws(() => get_position_ids(plain), { code: 'ERR_ARGUMENT' })
