/**
 * What each dispatch algorithm makes ranks receive: 262,144 tokens of packed documents, 16 ranks, chunks of 1,024.
 *
 *     npm run bench -- dispatch-locality
 */
import { sliceToBand } from '@magi-attention/common'
import {
  type DispatchAlg,
  DispatchConfig,
  LocalityDispatchAlg,
  MinHeapDispatchAlg,
  make_dispatch_meta_from_qk_ranges,
  receivedRows,
  SequentialDispatchAlg,
  ToppHeapDispatchAlg,
} from '@magi-attention/dispatch'
import { saveResults } from './harness.js'
import { blockCausalDocuments, causalDocuments, lengthsOf256K } from './packed-documents.js'

const totalTokens = 262_144
const chunkSize = 1024
const numRanks = 16

const masks = {
  'varlen causal': causalDocuments(lengthsOf256K),
  'varlen block-causal': blockCausalDocuments(totalTokens, 4096, lengthsOf256K),
}
const algorithms: Record<string, DispatchAlg> = {
  Locality: new LocalityDispatchAlg(),
  MinHeap: new MinHeapDispatchAlg(),
  'ToppHeap(0.5)': new ToppHeapDispatchAlg({ top_p: 0.5 }),
  Sequential: new SequentialDispatchAlg(),
}

const rows = Object.entries(masks).flatMap(([mask, slices]) => {
  const bands = slices.q_ranges.map((q, i) => sliceToBand(q, slices.k_ranges[i]!, slices.attn_mask_type))
  return Object.entries(algorithms).map(([algorithm, alg]) => {
    const solve = () =>
      make_dispatch_meta_from_qk_ranges({
        ...slices,
        total_seqlen_q: totalTokens,
        total_seqlen_k: totalTokens,
        chunk_size: chunkSize,
        cp_size: numRanks,
        cp_rank: 0,
        dispatch_config: new DispatchConfig({ alg }),
      })[0]
    const times = Array.from({ length: 5 }, () => {
      const start = performance.now()
      solve()
      return performance.now() - start
    })
    const rankOfChunk = new Int32Array(totalTokens / chunkSize)
    solve().partitions.forEach((chunks, rank) => {
      for (const chunk of chunks) rankOfChunk[chunk] = rank
    })
    const { mean, max, imbalance } = receivedRows({ bands, totalTokens, chunkSize, rankOfChunk, numRanks })
    return {
      mask,
      algorithm,
      'rows received, mean': Math.round(mean),
      'rows received, largest': max,
      imbalance: Number(imbalance.toFixed(4)),
      'first solve ms': Number(times[0]!.toFixed(1)),
      'later solves ms': Number(Math.min(...times.slice(1)).toFixed(1)),
    }
  })
})
console.table(rows)
saveResults('dispatch-locality', { tokens: totalTokens, chunk_size: chunkSize, ranks: numRanks, rows })
