/** Attention on the CPU against OpenBLAS, mask against mask, and threads against threads, all in one run. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import {
  flex_flash_attn_backward,
  flex_flash_attn_forward,
  flex_flash_attn_func,
} from '@magi-attention/ffa-kernel'
import { type DType, manual_seed, randn, set_num_threads, type Tensor } from '@magi-attention/tensor'
import { medianSeconds, saveResults } from './harness.js'
import { loadOpenBlas } from './openblas.js'

const numHeads = 8
const headDim = 128
const rounds = 7

type Slice = readonly [
  q: readonly [number, number],
  k: readonly [number, number],
  type: 'full' | 'causal' | 'bi_causal',
]

interface Mask {
  readonly tokens: number
  readonly slices: readonly Slice[]
  /** Attended cells, exactly. */
  readonly area: number
}

// OpenBLAS reads its settings when it is loaded, so they must be there before the process starts.
if (process.env.OPENBLAS_CORETYPE !== 'SKYLAKEX' && hasAvx512()) {
  const { OPENBLAS_L2_SIZE: _, ...inherited } = process.env
  const env = { ...inherited, OPENBLAS_CORETYPE: 'SKYLAKEX' }
  const again = [...process.execArgv, process.argv[1]!]
  process.exitCode = spawnSync(process.execPath, again, { stdio: 'inherit', env }).status ?? 1
} else {
  measure()
}

function measure(): void {
  manual_seed(1)
  const results: Record<string, unknown> = { heads: numHeads, head_dim: headDim, tokens: 4096, rounds }
  results.against_openblas = [1, 2].flatMap(threads => measureRates(threads))
  results.masks = (['float32', 'bfloat16'] as const).flatMap(measureMasks)
  results.two_threads = measureThreads()
  results.call_overhead_us = measureOverhead()
  saveResults('ffa-cpu', results)
}

/** Rates of the full mask, as fractions of sgemm's at 4096^3 in the same run. */
function measureRates(threads: number): object[] {
  const blas = loadOpenBlas()
  set_num_threads(threads)
  blas?.setThreads(threads)
  const n = 4096
  const [a, b] = [randn(n, n).typed_array() as Float32Array, randn(n, n).typed_array() as Float32Array]
  const c = new Float32Array(n * n)
  const cases = (['float32', 'bfloat16'] as const).map(dtype => prepare(fullMask(4096), dtype))
  const runs = cases.flatMap(one => [one.forward, one.backward])
  const seconds = medianSeconds(blas ? [...runs, () => blas.sgemm(n, a, b, c)] : runs, rounds)
  const sgemm = blas ? (2 * n ** 3) / seconds.at(-1)! / 1e9 : null
  console.log(
    `\n${threads} thread(s), full mask, 4,096 tokens; sgemm 4096^3 ${sgemm?.toFixed(0) ?? '(no OpenBLAS)'} GFLOP/s`,
  )
  return cases.map((one, index) => {
    const forward = one.flops / seconds[2 * index]! / 1e9
    const backward = (2.5 * one.flops) / seconds[2 * index + 1]! / 1e9
    const ratio = (rate: number) => (sgemm === null ? null : round(rate / sgemm))
    console.log(
      `  ${one.dtype.padEnd(9)} forward ${forward.toFixed(0)} GFLOP/s (${ratio(forward)} of sgemm), ` +
        `backward ${backward.toFixed(0)} (${ratio(backward)})`,
    )
    return {
      threads,
      dtype: one.dtype,
      sgemm_gflops: sgemm && round(sgemm),
      sgemm_kernel: blas?.kernel ?? null,
      forward_gflops: round(forward),
      forward_of_sgemm: ratio(forward),
      backward_gflops: round(backward),
      backward_of_sgemm: ratio(backward),
    }
  })
}

/** Time per unit of mask area, as multiples of the full mask's. */
function measureMasks(dtype: DType): object[] {
  set_num_threads(2)
  const full = prepare(fullMask(4096), dtype)
  console.log(`\n${dtype}: time, and time per unit of area, over the full mask's`)
  return Object.entries(masks()).map(([name, mask]) => {
    const one = prepare(mask, dtype)
    const [forward, backward, fullForward, fullBackward] = medianSeconds(
      [one.forward, one.backward, full.forward, full.backward],
      rounds,
    ) as [number, number, number, number]
    const share = one.flops / full.flops
    const row = {
      dtype,
      mask: name,
      tokens: mask.tokens,
      forward_time: round(forward / fullForward),
      backward_time: round(backward / fullBackward),
      forward_per_area: round(forward / fullForward / share),
      backward_per_area: round(backward / fullBackward / share),
    }
    console.log(
      `  ${name.padEnd(28)} forward ${row.forward_time} (${row.forward_per_area} per area), ` +
        `backward ${row.backward_time} (${row.backward_per_area} per area)`,
    )
    return row
  })
}

function measureThreads(): object {
  const one = prepare(fullMask(4096), 'float32')
  const withThreads = (count: number, run: () => void) => () => {
    set_num_threads(count)
    run()
  }
  const [forward1, forward2, backward1, backward2] = medianSeconds(
    [1, 2]
      .map(count => withThreads(count, one.forward))
      .concat([1, 2].map(count => withThreads(count, one.backward))),
    rounds,
  ) as [number, number, number, number]
  const speedup = { forward: round(forward1 / forward2), backward: round(backward1 / backward2) }
  console.log(`\ntwo threads over one: forward ${speedup.forward}, backward ${speedup.backward}`)
  return speedup
}

/** Whole call of flex_flash_attn_func for 16 tokens, in microseconds, plan cached. */
function measureOverhead(): number {
  set_num_threads(2)
  const [q, k, v] = [0, 1, 2].map(() => randn(16, numHeads, headDim)) as [Tensor, Tensor, Tensor]
  const call = () => {
    const [out, meta] = flex_flash_attn_func({
      q,
      k,
      v,
      q_ranges: [[0, 16]],
      k_ranges: [[0, 16]],
      attn_type_map: [1],
    })
    out.dispose()
    meta.lse.dispose()
  }
  const repeats = 2000
  const many = () => {
    for (let i = 0; i < repeats; i++) call()
  }
  const microseconds = round((medianSeconds([many], rounds)[0]! / repeats) * 1e6)
  console.log(`\n16 tokens, whole call: ${microseconds} us`)
  return microseconds
}

function prepare(mask: Mask, dtype: DType) {
  const shape = [mask.tokens, numHeads, headDim]
  const [q, k, v, grad_out] = [0, 1, 2, 3].map(() => randn(shape, { dtype })) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ]
  const slices = {
    q_ranges: mask.slices.map(([q]) => q),
    k_ranges: mask.slices.map(([, k]) => k),
    attn_type_map: mask.slices.map(([, , type]) => type),
  }
  const [out, { lse }] = flex_flash_attn_forward({ q, k, v, ...slices })
  return {
    dtype,
    flops: 4 * mask.area * headDim * numHeads,
    forward() {
      const [o, meta] = flex_flash_attn_forward({ q, k, v, ...slices })
      o.dispose()
      meta.lse.dispose()
    },
    backward() {
      const grads = flex_flash_attn_backward({ q, k, v, out, lse, grad_out, ...slices })
      grads.grad_q.dispose()
      grads.grad_k.dispose()
      grads.grad_v.dispose()
    },
  }
}

function fullMask(tokens: number): Mask {
  return { tokens, slices: [[[0, tokens], [0, tokens], 'full']], area: tokens * tokens }
}

function masks(): Record<string, Mask> {
  const equal = Array.from({ length: 16 }, () => 256)
  const uneven = [1024, 768, 512, 384, 320, 256, 192, 160, 128, 96, 80, 64, 48, 32, 20, 12]
  const scattered = [67, 512, 129, 256, 300, 211, 90, 400, 333, 128, 470, 256, 199, 301, 222, 222]
  return {
    causal: { tokens: 4096, slices: [[[0, 4096], [0, 4096], 'causal']], area: (4096 * 4097) / 2 },
    'varlen, 16 x 256': documents(equal),
    'varlen, 16 long-tailed': documents(uneven),
    'varlen, 16 scattered': documents(scattered),
    'sliding window 256 of 16,384': slidingWindow(16384, 256),
  }
}

function documents(lengths: readonly number[]): Mask {
  let start = 0
  const slices = lengths.map((length): Slice => {
    const range: [number, number] = [start, start + length]
    start += length
    return [range, range, 'full']
  })
  return { tokens: start, slices, area: lengths.reduce((sum, length) => sum + length * length, 0) }
}

/** Every row sees itself and the `width` rows before it. */
function slidingWindow(tokens: number, width: number): Mask {
  const head = width + 1
  const slices: Slice[] = [
    [[0, head], [0, head], 'causal'],
    [[head, tokens], [1, tokens], 'bi_causal'],
  ]
  return { tokens, slices, area: (head * (head + 1)) / 2 + (tokens - head) * head }
}

function hasAvx512(): boolean {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8').includes('avx512dq')
  } catch {
    return false
  }
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
