/**
 * Attention over a mask that no single flag describes, forward and backward, on one device.
 * The TypeScript twin of the first program in MagiAttention's quickstart. Run it with `npm run quickstart`, on a GPU with
 * `npm start --prefix examples/ffa-quickstart -- --device cuda`.
 */
import { parseArgs } from 'node:util'
import {
  attn_flops,
  bandArea,
  bfloat16,
  cuda,
  type Device,
  flex_flash_attn_func,
  float32,
  formatDuration,
  formatTable,
  get_num_threads,
  int32,
  manual_seed,
  randn,
  randn_like,
  sliceToBand,
  tensor,
} from '@magi-attention/api'
import { compareWithReference } from './compare.js'

// --- The attention to compute --- //

const total_seqlen = 2048 // tokens
const seqlen_sink = 4 // sink tokens: extra logits that take weight but give no value
const num_heads_q = 8 // query heads
const num_heads_kv = 2 // key/value heads: four query heads share one (GQA)
const head_dim = 128
const dtype = bfloat16 // of q, k, v and out; sums are kept in float32
const { values: flags } = parseArgs({ options: { device: { type: 'string', default: 'cpu' } } })
const device = flags.device as Device | 'cuda' // 'cpu', 'cuda' or 'cuda:1'
const is_on_gpu = device !== 'cpu'
const has_sink = true

// --- q, k, v and the gradient of the output --- //

manual_seed(0) // the same numbers in every run

const q = randn(total_seqlen, num_heads_q, head_dim, { dtype, device, requires_grad: true })
const k = randn(total_seqlen, num_heads_kv, head_dim, { dtype, device, requires_grad: true })
const v = randn(total_seqlen, num_heads_kv, head_dim, { dtype, device, requires_grad: true })
const grad_out = randn_like(q) // `do` in the Python program, a keyword here

// --- The sink --- //

const sink = has_sink
  ? randn(seqlen_sink, num_heads_q, { dtype: float32, device, requires_grad: true })
  : null

// --- The mask, as a list of slices --- //

// `*` is attended, `0` is not; each character stands for 256 tokens:
//     - - - - - - - - -> (k)
//   | * * * * 0 0 0 0
//   | * * * * 0 0 0 0
//   | * * * * 0 0 0 0
//   | * * * * 0 0 0 0
//   | * * * * * 0 0 0
//   | * * * * * * 0 0
//   | * * * * * * * 0
//   | * * * * * * * *
//   V
//  (q)
const ranges = { dtype: int32, device } as const
const q_ranges = [[0, 1024], [1024, 2048]] as const // biome-ignore format: one range after the other
const k_ranges = [[0, 1024], [0, 2048]] as const // biome-ignore format: one range after the other
const q_ranges_tensor = tensor(q_ranges, ranges)
const k_ranges_tensor = tensor(k_ranges, ranges)
const attn_type_map_tensor = tensor([0, 1], ranges) // the first slice is full, the second causal

// --- Attention, forward and backward --- //

function forward() {
  return flex_flash_attn_func({
    q,
    k,
    v,
    q_ranges: q_ranges_tensor,
    k_ranges: k_ranges_tensor,
    attn_type_map: attn_type_map_tensor,
    sink, // default: null, no sink
    softmax_scale: null, // default: 1 / sqrt(head_dim)
    softcap: 0, // default: 0, no cap
  })
}

if (is_on_gpu) forward()[0].backward(grad_out) // the first call loads the library
for (const input of [q, k, v, sink]) if (input) input.grad = null
const [[out, meta], forwardSeconds] = timed(forward)
const { lse } = meta

const [, backwardSeconds] = timed(() => out.backward(grad_out))

const [dq, dk, dv] = [q.grad!, k.grad!, v.grad!]
const dsink = has_sink ? sink!.grad! : null

// --- What came out --- //

const area = [
  sliceToBand(q_ranges[0], k_ranges[0], 'full'),
  sliceToBand(q_ranges[1], k_ranges[1], 'causal'),
].reduce((sum, band) => sum + bandArea(band), 0)
const gflops = (seconds: number, backward: boolean) => {
  return `${(attn_flops({ area, num_heads_q, head_dim, backward }) / seconds / 1e9).toFixed(0)} GFLOP/s`
}
const share = ((100 * area) / total_seqlen ** 2).toFixed(1)

console.log(
  `${total_seqlen} tokens, ${num_heads_q} query and ${num_heads_kv} key/value heads of ${head_dim}, ${dtype}`,
)
const place = is_on_gpu ? cuda.get_device_name(device) : `${device}, ${get_num_threads()} threads`
console.log(`${share} % of the square is attended; ${place}\n`)
console.log(
  formatTable(
    ['pass', 'time', 'rate'],
    [
      ['forward', formatDuration(forwardSeconds), gflops(forwardSeconds, false)],
      ['backward', formatDuration(backwardSeconds), gflops(backwardSeconds, true)],
    ],
    { align: ['left', 'right', 'right'] },
  ),
)

const comparison = compareWithReference({ q, k, v, grad_out, sink, out, lse, dq, dk, dv })
const shapes = Object.entries({ out, lse, dq, dk, dv, ...(dsink === null ? {} : { dsink }) })
console.log(`\n${comparison.compared}\n`)
console.log(
  formatTable(
    ['tensor', 'shape', 'dtype', 'largest error', 'error / norm', 'bound'],
    shapes.map(([name, { shape, dtype }]) => {
      const error = comparison.errors.find(error => error.name === name)
      const numbers =
        error && [error.maxAbs, error.relativeNorm, error.bound].map(value => value.toExponential(1))
      return [name, `[${shape.join(', ')}]`, dtype, ...(numbers ?? ['-', '-', '-'])]
    }),
    { align: ['left', 'left', 'left', 'right', 'right', 'right'] },
  ),
)

const failed = comparison.errors.filter(error => !(error.relativeNorm <= error.bound))
if (failed.length > 0) {
  console.error(`\nToo far from the reference: ${failed.map(error => error.name).join(', ')}.`)
  process.exitCode = 1
}

/** The result of a function, and how long it took in seconds. */
function timed<T>(body: () => T): [result: T, seconds: number] {
  if (is_on_gpu) cuda.synchronize(device)
  const started = performance.now()
  const result = body()
  if (is_on_gpu) cuda.synchronize(device) // a GPU works on after the call has returned
  return [result, (performance.now() - started) / 1000]
}
