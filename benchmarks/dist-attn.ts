/**
 * Distributed attention on 4 ranks: how evenly the work lies on paper at 32,768 tokens, what travels against the least that could,
 * and the time of a forward and backward pass for several overlap degrees, in turns.
 *
 *     npm run bench -- dist-attn
 */
import { fileURLToPath } from 'node:url'
import { barrier, destroy_process_group, init_process_group } from '@magi-attention/comm'
import { report, spawnRanks } from '@magi-attention/comm/testing'
import { OverlapConfig, simulate } from '@magi-attention/dispatch'
import { calc_attn, DistAttnConfig, dispatch, magi_attn_flex_key } from '@magi-attention/dist-attn'
import { manual_seed, randn, randn_like, tidy } from '@magi-attention/tensor'
import { saveResults } from './harness.js'
import { blockCausalDocuments, causalDocuments, lengthsOf256K } from './packed-documents.js'

const numRanks = 4
const heads = { num_heads_q: 8, num_heads_kv: 2, head_dim: 64 }
const degrees = [0, 1, 2]
const rounds = 9
const timedTokens = 16_384

function documentLengths(total: number): number[] {
  return lengthsOf256K.map(length => (length * total) / 262_144)
}

function simulateWork(): object[] {
  const total = 32_768
  const masks = {
    causal: causalDocuments([total]),
    'varlen causal': causalDocuments(documentLengths(total)),
    'varlen block-causal': blockCausalDocuments(total, 1024, documentLengths(total)),
  }
  return Object.entries(masks).map(([mask, slices]) => {
    const { ranks } = simulate(
      { ...slices, total_seqlen_q: total, total_seqlen_k: total },
      { cp_size: numRanks, chunk_size: 512, ...heads },
    )
    const work = ranks.map(rank => rank.cells)
    const sum = work.reduce((a, b) => a + b, 0)
    return {
      mask,
      tokens: total,
      'cells of all ranks': sum,
      'largest over mean': Number(((Math.max(...work) * numRanks) / sum).toFixed(4)),
      'rows received': ranks.reduce((rows, rank) => rows + rank.receivedRows, 0),
    }
  })
}

function runRank(): void {
  const group = init_process_group({ timeout: 300 })
  const mask = blockCausalDocuments(timedTokens, 512, documentLengths(timedTokens))
  manual_seed(0)
  const keys = degrees.map(degree =>
    magi_attn_flex_key({
      ...mask,
      total_seqlen_q: timedTokens,
      total_seqlen_k: timedTokens,
      chunk_size: 256,
      cp_group_or_mesh: group,
      dist_attn_config: new DistAttnConfig({ overlap_config: new OverlapConfig({ degree }) }),
    }),
  )
  const global = [heads.num_heads_q, heads.num_heads_kv, heads.num_heads_kv].map(count =>
    randn(timedTokens, count, heads.head_dim, { dtype: 'bfloat16' }),
  )
  const times: Record<string, number[]> = {}
  const sent: Record<string, number> = {}
  for (let round = 0; round <= rounds; round++) {
    keys.forEach((key, i) => {
      tidy(() => {
        const [q, k, v] = global.map(x => {
          const local = dispatch({ x, key }).detach()
          local.requires_grad = true
          return local
        })
        const before = group.bytesSent()
        barrier()
        const start = performance.now()
        const [out] = calc_attn({ q: q!, k: k!, v: v!, key })
        out.backward(randn_like(out))
        barrier()
        if (round > 0) times[degrees[i]!] = [...(times[degrees[i]!] ?? []), performance.now() - start]
        sent[degrees[i]!] = group.bytesSent() - before
      })
    })
  }
  destroy_process_group()
  report({ times, sent })
}

if (process.env.RANK === undefined) {
  const work = simulateWork()
  console.table(work)
  const env = { MAGI_ATTENTION_NUM_THREADS: '1' }
  const results = await spawnRanks(fileURLToPath(import.meta.url), numRanks, { env, timeoutSeconds: 600 })
  type Report = { times: Record<string, number[]>; sent: Record<string, number> }
  const reports = results.map(({ reports, stderr }) => {
    if (reports.length !== 1) throw new Error(stderr)
    return reports[0] as Report
  })
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!
  const rows = degrees.map(degree => ({
    'overlap degree': degree,
    'forward and backward, ms': Number(median(reports[0]!.times[degree]!).toFixed(1)),
    'bytes sent by all ranks': reports.reduce((sum, one) => sum + one.sent[degree]!, 0),
  }))
  console.table(rows)
  saveResults('dist-attn', { ranks: numRanks, ...heads, timed_tokens: timedTokens, work, rows })
} else {
  runRank()
}
