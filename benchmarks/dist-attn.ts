/**
 * Distributed attention on 4 ranks: how evenly the work lies on paper at 32,768 tokens, what travels against the least that could,
 * and the time of a forward and backward pass for several overlap degrees, in turns: as it is, and with a kernel call for each
 * stage (`MAGI_ATTENTION_MERGE_STAGES=never`).
 *
 *     npm run bench -- dist-attn
 */
import { fileURLToPath } from 'node:url'
import { barrier, destroy_process_group, init_process_group, type ProcessGroup } from '@magi-attention/comm'
import { report, spawnRanks } from '@magi-attention/comm/testing'
import { OverlapConfig, simulate } from '@magi-attention/dispatch'
import { calc_attn, DistAttnConfig, dispatch, magi_attn_flex_key } from '@magi-attention/dist-attn'
import { manual_seed, randn, randn_like, tidy } from '@magi-attention/tensor'
import { saveResults } from './harness.js'
import { blockCausalDocuments, causalDocuments, lengthsOf256K } from './packed-documents.js'

const numRanks = 4
const heads = { num_heads_q: 8, num_heads_kv: 2, head_dim: 64 }
const variants = [
  { degree: 0, mergeStages: 'auto' },
  { degree: 1, mergeStages: 'auto' },
  { degree: 2, mergeStages: 'auto' },
  { degree: 1, mergeStages: 'never' },
  { degree: 2, mergeStages: 'never' },
] as const
/** Rounds for each mask. */
const rounds = { 'varlen block-causal': 15, causal: 5 } as const
type Mask = keyof typeof rounds
const masks = Object.keys(rounds) as Mask[]
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

interface Measurement {
  /** Seconds on the clock, from a barrier to a barrier. */
  readonly wall: number[]
  /** Seconds that all threads of this rank have computed. */
  readonly cpu: number[]
  /** Bytes that this rank has sent. */
  sent: number
}

function processorSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function runRank(): void {
  const group = init_process_group({ timeout: 300 })
  const results = masks.map(mask => measure(mask, group))
  destroy_process_group()
  report(results)
}

function measure(mask: Mask, group: ProcessGroup): Measurement[] {
  const slices =
    mask === 'causal'
      ? causalDocuments([timedTokens])
      : blockCausalDocuments(timedTokens, 512, documentLengths(timedTokens))
  manual_seed(0)
  const global = [heads.num_heads_q, heads.num_heads_kv, heads.num_heads_kv].map(count =>
    randn(timedTokens, count, heads.head_dim, { dtype: 'bfloat16' }),
  )
  const keys = variants.map(({ degree }) =>
    magi_attn_flex_key({
      ...slices,
      total_seqlen_q: timedTokens,
      total_seqlen_k: timedTokens,
      chunk_size: 256,
      cp_group_or_mesh: group,
      dist_attn_config: new DistAttnConfig({ overlap_config: new OverlapConfig({ degree }) }),
    }),
  )
  const found = variants.map((): Measurement => ({ wall: [], cpu: [], sent: 0 }))
  const order = variants.map((_, i) => i)
  for (let round = 0; round <= rounds[mask]; round++) {
    order.reverse() // so that none always comes behind the same one
    for (const i of order) {
      tidy(() => {
        const key = keys[i]!
        process.env.MAGI_ATTENTION_MERGE_STAGES = variants[i]!.mergeStages
        const [q, k, v] = global.map(x => {
          const local = dispatch({ x, key }).detach()
          local.requires_grad = true
          return local
        })
        const gradOut = randn_like(q!).detach()
        const before = group.bytesSent()
        barrier()
        const [start, startCpu] = [performance.now(), processorSeconds()]
        const [out] = calc_attn({ q: q!, k: k!, v: v!, key })
        out.backward(gradOut)
        barrier()
        if (round > 0) {
          found[i]!.wall.push((performance.now() - start) / 1000)
          found[i]!.cpu.push(processorSeconds() - startCpu)
        }
        found[i]!.sent = group.bytesSent() - before
      })
    }
  }
  return found
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

if (process.env.RANK === undefined) {
  const work = simulateWork()
  console.table(work)
  const env = { MAGI_ATTENTION_NUM_THREADS: '1' }
  const results = await spawnRanks(fileURLToPath(import.meta.url), numRanks, { env, timeoutSeconds: 600 })
  const reports = results.map(({ reports, stderr }) => {
    if (reports.length !== 1) throw new Error(stderr)
    return reports[0] as Measurement[][]
  })
  const rows = masks.flatMap((mask, m) =>
    variants.map(({ degree, mergeStages }, i) => {
      const ranks = reports.map(ofRank => ofRank[m]![i]!)
      const cpu = ranks[0]!.cpu.map((_, round) => ranks.reduce((sum, rank) => sum + rank.cpu[round]!, 0))
      return {
        mask,
        'overlap degree': degree,
        'merge stages': mergeStages,
        'forward and backward, ms': Number((1000 * median(ranks[0]!.wall)).toFixed(1)),
        'CPU time of all ranks, ms': Number((1000 * median(cpu)).toFixed(1)),
        'bytes sent by all ranks': ranks.reduce((sum, rank) => sum + rank.sent, 0),
      }
    }),
  )
  console.table(rows)
  saveResults('dist-attn', { ranks: numRanks, ...heads, timed_tokens: timedTokens, rounds, work, rows })
} else {
  runRank()
}
