/**
 * Collectives of the shm backend against memcpy of as many bytes as each rank receives, by all ranks at the same time.
 *
 *     npm run bench -- comm
 *     npx tsx --conditions=@magi-attention/source benchmarks/comm.ts [ranks] [megabytes] [repetitions]
 */
import { fileURLToPath } from 'node:url'
import {
  all_gather,
  all_reduce,
  barrier,
  destroy_process_group,
  group_cast,
  group_reduce,
  init_process_group,
} from '@magi-attention/comm'
import { report, spawnRanks } from '@magi-attention/comm/testing'
import { full, tensor } from '@magi-attention/tensor'
import { saveResults } from './harness.js'

const [ranks = 4, megabytes = 64, repetitions = 15] = process.argv.slice(2).map(Number)
/** float32 values of a row. */
const columns = 1024

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}

function runRank(): void {
  const group = init_process_group({ timeout: 120 })
  const size = group.size()
  const me = group.rank()
  const rows = Math.floor((megabytes * 1e6) / 4 / columns / size)
  // Written, since memory of zeros that nobody has written yet is one page, read from the cache.
  const input = full([rows, columns], me)
  const output = full([rows * size, columns], 0)
  // The speed of memcpy depends on how the two sides lie within their pages: the better of two ways counts.
  const source = full([rows * size * columns + columns / 2], 1)
  const aligned = source.narrow(0, 0, rows * size * columns)
  const shifted = source.narrow(0, columns / 2, rows * size * columns)
  const target = output.view(-1)
  const slowest = tensor([0], { dtype: 'float64' })

  // Pieces of 64 rows, all of which every other rank needs. As many rows are received as by all_gather.
  const castRows = size > 1 ? Math.floor((rows * size) / (size - 1)) : 0
  const castInput = full([castRows, columns], me)
  const pieces = Array.from({ length: Math.ceil(castRows / 64) }, (_, i) => Math.min(64, castRows - i * 64))
  const others = group.ranks.filter(rank => rank !== me)
  const received = full([castRows * (size - 1), columns], 0)
  const cast = {
    input: castInput,
    output: received,
    input_split_sizes: pieces,
    dst_indices: pieces.map(() => others),
    output_split_sizes: others.flatMap(() => pieces),
    src_index: others.flatMap(rank => pieces.map(() => rank)),
  }
  const reduce = {
    input: received,
    output: castInput,
    input_split_sizes: cast.output_split_sizes,
    dst_index: cast.src_index,
    output_split_sizes: pieces,
    src_indices: cast.dst_indices,
  }
  const cases = {
    memcpy: () => target.copy_(aligned),
    'memcpy shifted': () => target.copy_(shifted),
    all_gather: () => all_gather(output, input),
    group_cast: () => group_cast(cast),
    group_reduce: () => group_reduce(reduce),
    all_reduce: () => all_reduce(output),
    barrier: () => barrier(),
  }
  const times: Record<string, number[]> = {}
  for (let i = 0; i < repetitions + 2; i++) {
    for (const [name, run] of Object.entries(cases)) {
      barrier()
      const start = performance.now()
      run()
      slowest.copy_(Float64Array.of(performance.now() - start))
      all_reduce(slowest, { op: 'max' })
      // The first rounds touch memory that nobody has used yet.
      if (i >= 2) times[name] = [...(times[name] ?? []), slowest.item()]
    }
  }
  destroy_process_group()
  if (me === 0) report(times)
}

if (process.env.RANK === undefined) {
  const args = [ranks, megabytes, repetitions].map(String)
  const [first] = await spawnRanks(fileURLToPath(import.meta.url), ranks, { args, timeoutSeconds: 600 })
  if (first?.reports.length !== 1) throw new Error(first?.stderr)
  const times = first.reports[0] as Record<string, number[]>
  const copy = Math.min(median(times.memcpy!), median(times['memcpy shifted']!))
  const rows = Object.entries(times).map(([operation, values]) => {
    const ms = median(values)
    return { operation, ms: Number(ms.toFixed(3)), 'x memcpy': Number((ms / copy).toFixed(2)) }
  })
  console.log(`${ranks} ranks, ${megabytes} MB a rank, slowest rank, median of ${repetitions}`)
  console.table(rows)
  saveResults('comm-shm', { ranks, megabytes, repetitions, rows })
} else {
  runRank()
}
