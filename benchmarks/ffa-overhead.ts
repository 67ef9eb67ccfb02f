/** Host time that `flex_flash_attn_func` takes on a GPU beyond the launch of the kernel. */
import { type FlexFlashAttnOptions, flex_flash_attn_func } from '@magi-attention/ffa-kernel'
import { cuda, randn, tidy } from '@magi-attention/tensor'
import { loadCudaLibrary } from '../packages/ffa-kernel/src/native/library.js'
import { saveResults } from './harness.js'
import { causalDocuments } from './packed-documents.js'

/** Calls between two waits: few enough for the queue of the device, so that no launch waits for room in it. */
const callsPerBatch = 64
const batches = 100
/** Batches before those that count: the engine optimises functions while they run. */
const warmUps = 100
const tokens = 4096

if (cuda.is_available()) measure()
else console.log('ffa-overhead: there is no GPU')

function measure(): void {
  const device = 'cuda:0'
  const [q, k, v] = [8, 1, 1].map(heads => randn(tokens, heads, 128, { dtype: 'bfloat16', device }))
  const inputs = { q: q!, k: k!, v: v! }
  const oneSlice = { q_ranges: [[0, tokens]], k_ranges: [[0, tokens]], attn_type_map: ['causal' as const] }
  const { attn_mask_type, ...documents } = causalDocuments(Array.from({ length: 64 }, () => tokens / 64))
  const packed = { ...documents, attn_type_map: documents.q_ranges.map(() => attn_mask_type) }

  const rows = Object.entries({ 'one slice': oneSlice, '64 documents': packed }).map(([mask, slices]) => {
    const call = () => flex_flash_attn_func({ ...inputs, ...slices } as FlexFlashAttnOptions)
    const launch = recordLaunch(call)
    const total_us = microsecondsPerCall(() => tidy(() => void call()))
    const launch_us = microsecondsPerCall(launch)
    return { mask, total_us, launch_us, added_us: round(total_us - launch_us) }
  })
  console.table(rows)
  saveResults('ffa-overhead', { gpu: cuda.get_device_name(device), tokens, callsPerBatch, batches, rows })
}

/** The native call that `run` ends in, to be made again by itself. Its tensors stay alive with it. */
function recordLaunch(run: () => unknown): () => void {
  const library = loadCudaLibrary()
  const { forward } = library
  let recorded: { args: Uint8Array; held: object } | undefined
  library.forward = (args, held) => {
    recorded = { args: args.slice(), held }
    return forward(args, held)
  }
  const results = run()
  library.forward = forward
  cuda.synchronize()
  if (recorded === undefined) throw new Error('flex_flash_attn_func did not launch a kernel')
  const { args, held } = recorded
  return () => forward(args, [held, results])
}

/** Median over batches. The device is idle when a batch begins. */
function microsecondsPerCall(run: () => void): number {
  const times = Array.from({ length: warmUps + batches }, () => {
    cuda.synchronize()
    const start = process.hrtime.bigint()
    for (let call = 0; call < callsPerBatch; call++) run()
    return Number(process.hrtime.bigint() - start) / 1e3 / callsPerBatch
  })
  cuda.synchronize()
  return round(times.slice(warmUps).sort((a, b) => a - b)[batches >> 1]!)
}

function round(value: number): number {
  return Number(value.toPrecision(3))
}
