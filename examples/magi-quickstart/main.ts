/**
 * Attention over a sequence that several ranks share, from the embeddings to the gradients: the TypeScript twin of the
 * second program in MagiAttention's quickstart.
 *
 *     npx magirun --nproc-per-node 8 examples/magi-quickstart [--preset cpu | full]
 *
 * Without a launcher it runs as one rank.
 */
import {
  AttnMaskType,
  AttnRanges,
  all_gather,
  all_reduce,
  bfloat16,
  calc_attn,
  clearup_dist_env,
  compute_pad_size,
  dist_attn_runtime_dict_mgr,
  dsink_all_reduce_op,
  empty,
  float32,
  float64,
  formatDuration,
  formatTable,
  magi_attn_flex_dispatch,
  nn,
  no_grad,
  randn,
  setup_dist_env,
  tensor,
  undispatch,
} from '@magi-attention/api'
import { compare, runOnOneRank } from './compare.js'
import { readPreset } from './preset.js'

// --- Set up the ranks --- //

const preset = readPreset(process.argv.slice(2))
const [rank, , world_size, , , world_group, device] = setup_dist_env({ base_seed: 0 }) // the same numbers on all ranks

// --- Define the attention --- //

const { total_seqlen, num_heads_q, num_heads_kv, head_dim } = preset // tokens of all ranks together; GQA
const { chunk_size } = preset // the unit that ranks are given: smaller chunks balance better
const seqlen_sink = 4 // sink tokens
const dtype = bfloat16 // of q, k, v and out; partial results are summed up in float32
const has_sink = true

// --- The token embeddings, the same on every rank --- //

const { embed_dim } = preset
const x = randn(total_seqlen, embed_dim, { device, dtype, requires_grad: true })

// --- The mask: block-causal, with eight blocks --- //

// `*` is attended, `0` is not; each character stands for half a block:
//     - - - - - - - - -> (k)
//   | * * 0 0 0 0 0 0
//   | * * 0 0 0 0 0 0
//   | * * * * 0 0 0 0
//   | * * * * 0 0 0 0
//   | * * * * * * 0 0
//   | * * * * * * 0 0
//   | * * * * * * * *
//   | * * * * * * * *
//   V
//  (q)
const block_size = total_seqlen / 8
const blocks = Array.from({ length: 8 }, (_, block) => block * block_size)
const q_ranges = AttnRanges.from_ranges(blocks.map(start => [start, start + block_size] as const))
const k_ranges = AttnRanges.from_ranges(blocks.map(start => [0, start + block_size] as const))
const attn_mask_type = blocks.map(() => AttnMaskType.FULL)
const total_seqlen_q = total_seqlen
const total_seqlen_k = total_seqlen
const pad_size = compute_pad_size({ total_seqlen_q, cp_size: world_size, chunk_size }) // whole chunks on every rank

// --- Dispatch the embeddings --- //

// The tokens of local_x are those of some chunks: fine for what works token by token, such as a matrix product or a layer
// norm. What needs positions, such as RoPE, gets them from get_position_ids(key).
const [local_x, magi_attn_runtime_key] = magi_attn_flex_dispatch(x, {
  q_ranges,
  k_ranges,
  attn_mask_type,
  total_seqlen_q,
  total_seqlen_k,
  pad_size,
  chunk_size,
  cp_group_or_mesh: world_group,
})

// --- Project to q, k and v --- //

const q_proj = new nn.Linear(embed_dim, num_heads_q * head_dim, { dtype, device })
const k_proj = new nn.Linear(embed_dim, num_heads_kv * head_dim, { dtype, device })
const v_proj = new nn.Linear(embed_dim, num_heads_kv * head_dim, { dtype, device })

const local_q = q_proj.forward(local_x).view(-1, num_heads_q, head_dim)
const local_k = k_proj.forward(local_x).view(-1, num_heads_kv, head_dim)
const local_v = v_proj.forward(local_x).view(-1, num_heads_kv, head_dim)

// --- The sink, the same on every rank --- //

const global_sink = has_sink
  ? new nn.Parameter(randn(seqlen_sink, num_heads_q, { dtype: float32, device }))
  : null

// --- Attention over all ranks --- //

const started = performance.now()
const [local_out, meta] = calc_attn({
  q: local_q,
  k: local_k,
  v: local_v,
  key: magi_attn_runtime_key,
  sink: global_sink, // default: null, no sink
})
const local_lse = meta.lse
const forwardSeconds = (performance.now() - started) / 1000

// --- The whole output in order, without padding, on every rank --- //

const total_out = undispatch({ x: local_out, key: magi_attn_runtime_key })

// --- Loss and backward --- //

const loss = total_out.sum()
const backwardStarted = performance.now()
loss.backward()
const backwardSeconds = (performance.now() - backwardStarted) / 1000

const dx = x.grad!
const [dq_proj, dk_proj, dv_proj] = [q_proj.weight.grad!, k_proj.weight.grad!, v_proj.weight.grad!]

// --- Sum up what the ranks have found of the parameters' gradients --- //

// A training framework does this for all parameters, the sink among them. Therefore calc_attn leaves each rank its part of
// dsink, unless MAGI_ATTENTION_DSINK_ALL_REDUCE_OP says otherwise.
for (const gradient of [dq_proj, dk_proj, dv_proj]) all_reduce(gradient, { group: world_group })
const dsink = global_sink?.grad ?? null
if (dsink && dsink_all_reduce_op() === 'none') all_reduce(dsink, { group: world_group })

// --- What came out --- //

const total_lse = no_grad(() => undispatch({ x: local_lse, key: magi_attn_runtime_key }))
const { calc_meta } = dist_attn_runtime_dict_mgr.get(magi_attn_runtime_key)!
const keys_received = calc_meta.seqlen_k_per_remote_stage.reduce((sum, keys) => sum + keys, 0)
const facts = empty(world_size, 5, { dtype: float64 })
all_gather(
  facts,
  tensor([[calc_meta.seqlen_q_shard, calc_meta.total_area, keys_received, forwardSeconds, backwardSeconds]], {
    dtype: float64,
  }),
)

if (rank === 0) {
  const ranks = facts.tolist() as number[][]
  const allWork = ranks.reduce((sum, [, area]) => sum + area!, 0)
  console.log(
    `${total_seqlen} tokens on ${world_size} rank${world_size > 1 ? 's' : ''}, ${num_heads_q} query and ` +
      `${num_heads_kv} key/value heads of ${head_dim}, ${dtype}, loss ${loss.item().toPrecision(4)}\n`,
  )
  console.log(
    formatTable(
      ['rank', 'tokens', 'share of work', 'keys received', 'forward', 'backward'],
      ranks.map(([tokens, area, keys, forward, backward], i) => [
        i,
        tokens!,
        `${((100 * area!) / allWork).toFixed(1)} %`,
        keys!,
        formatDuration(forward!),
        formatDuration(backward!),
      ]),
      { align: ['right', 'right', 'right', 'right', 'right', 'right'] },
    ),
  )

  const results = { out: total_out, lse: total_lse, dx, dq_proj, dk_proj, dv_proj, ...(dsink && { dsink }) }
  const copies = Object.fromEntries(Object.entries(results).map(([name, t]) => [name, t.detach().clone()]))
  const expected = runOnOneRank({
    x,
    projections: [q_proj, k_proj, v_proj],
    head_dim,
    sink: global_sink,
    q_ranges,
    k_ranges,
  })
  const errors = compare(copies, expected)
  console.log('\nCompared with the same model on one rank:\n')
  console.log(
    formatTable(
      ['tensor', 'shape', 'largest difference', 'difference / norm', 'bound'],
      errors.map(({ name, shape, ...numbers }) => {
        const { maxAbs, relativeNorm, bound } = numbers
        return [name, `[${shape.join(', ')}]`, ...[maxAbs, relativeNorm, bound].map(n => n.toExponential(1))]
      }),
      { align: ['left', 'left', 'right', 'right', 'right'] },
    ),
  )
  const failed = errors.filter(({ relativeNorm, bound }) => !(relativeNorm <= bound))
  if (failed.length > 0) {
    console.error(`\nToo far from one rank: ${failed.map(({ name }) => name).join(', ')}.`)
    process.exitCode = 1
  }
}

// --- Leave --- //

clearup_dist_env()
