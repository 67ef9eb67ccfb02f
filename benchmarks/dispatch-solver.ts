/**
 * Times of the static solver: the full solve for one rank, that is what it computes, what it sends to every
 * rank and what it receives. Sharding the sequence is not part of it.
 *
 *     npm run bench -- dispatch-solver
 */
import {
  AttnOverlapMode,
  DispatchConfig,
  type DistAttnPlan,
  type DistAttnProblem,
  DistAttnSolver,
  GreedyOverlapAlg,
  MinHeapDispatchAlg,
  make_dispatch_meta_from_qk_ranges,
  OverlapConfig,
  SequentialDispatchAlg,
} from '@magi-attention/dispatch'
import { saveResults } from './harness.js'
import { blockCausalDocuments } from './packed-documents.js'

const million = 2 ** 20
const chunkSize = 2048
const dispatchAlgs = { MinHeap: new MinHeapDispatchAlg(), Sequential: new SequentialDispatchAlg() }

function problemOf(total: number, cp_size: number, alg: keyof typeof dispatchAlgs): DistAttnProblem {
  const mask = blockCausalDocuments(total)
  const [dispatch_meta_q] = make_dispatch_meta_from_qk_ranges({
    ...mask,
    total_seqlen_q: total,
    total_seqlen_k: total,
    chunk_size: chunkSize,
    cp_size,
    cp_rank: 0,
    dispatch_config: new DispatchConfig({ alg: dispatchAlgs[alg] }),
  })
  return { ...mask, dispatch_meta_q }
}

const overlaps = {
  'degree 1': new OverlapConfig(),
  'degree 4': new OverlapConfig({ degree: 4 }),
  dynamic: new OverlapConfig({ mode: AttnOverlapMode.DYNAMIC, degree: null, calc_cost_factor: 1e-3 }),
  greedy: new OverlapConfig({ degree: 4, alg: new GreedyOverlapAlg(), calc_cost_factor: 1e-3 }),
}

interface Measurement {
  readonly plan: DistAttnPlan
  readonly firstMs: number
  readonly medianMs: number
}

function measure(problem: DistAttnProblem, overlap_config: OverlapConfig, repetitions: number): Measurement {
  const solver = new DistAttnSolver({ num_heads_q: 8, num_heads_kv: 2, head_dim: 128, overlap_config })
  const times: number[] = []
  let plan: DistAttnPlan
  do {
    const start = performance.now()
    plan = solver.solve(problem)
    plan.solveRank(Math.floor(plan.cp_size / 2))
    times.push(performance.now() - start)
  } while (times.length <= repetitions)
  const sorted = times.slice(1).sort((a, b) => a - b)
  return { plan, firstMs: times[0]!, medianMs: sorted[Math.floor(sorted.length / 2)]! }
}

const rounded = (value: number, digits = 1) => Number(value.toFixed(digits))

function printSpeed(): object[] {
  const rows = []
  for (const [total, cp_size, repetitions] of [
    [million, 64, 20],
    [16 * million, 1024, 3],
  ] as const) {
    for (const alg of Object.keys(dispatchAlgs) as (keyof typeof dispatchAlgs)[]) {
      const problem = problemOf(total, cp_size, alg)
      for (const [overlap, config] of Object.entries(overlaps)) {
        const { plan, firstMs, medianMs } = measure(problem, config, repetitions)
        rows.push({
          tokens: total,
          ranks: cp_size,
          dispatch: alg,
          overlap,
          stages: plan.overlap_degree,
          'first ms': rounded(firstMs),
          'median ms': rounded(medianMs),
          'resident MB': rounded(process.memoryUsage.rss() / 1e6, 0),
        })
      }
    }
  }
  console.log('One rank, full solve: varlen block-causal, blocks of 4,096, chunks of 2,048')
  console.table(rows)
  return rows
}

function printGrowth(): object[] {
  const rows = []
  for (let total = million; total <= 16 * million; total *= 2) {
    const problem = problemOf(total, 64, 'MinHeap')
    const { plan, medianMs } = measure(problem, overlaps['degree 1'], 5)
    const chunks = total / chunkSize
    const overlap = plan.numRunBandPairs / chunks
    rows.push({
      tokens: total,
      chunks,
      'bands in a chunk': rounded(overlap, 2),
      'median ms': rounded(medianMs, 2),
      'ns / (chunks · log2(chunks) · overlap)': rounded(
        (medianMs * 1e6) / (chunks * Math.log2(chunks) * Math.max(1, overlap)),
        0,
      ),
    })
  }
  console.log('Growth, 64 ranks')
  console.table(rows)
  return rows
}

saveResults('dispatch-solver', { speed: printSpeed(), growth: printGrowth() })
