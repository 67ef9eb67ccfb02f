/** How long planning a mask takes, and finding its plan again. */
import { sliceToBand } from '@magi-attention/common'
import { buildTilePlan, PlanCache } from '@magi-attention/ffa-kernel/plan'
import { medianSeconds, saveResults } from './harness.js'

const tiles = { tileRows: 128, tileCols: 128 }

function measure(mask: string, tokens: number, count: number) {
  const bands = Array.from({ length: count }, (_, i) => {
    const range = [Math.floor((i * tokens) / count), Math.floor(((i + 1) * tokens) / count)] as const
    return sliceToBand(range, range, 'causal')
  })
  const options = { bands, numRows: tokens, numCols: tokens, ...tiles }
  const cache = new PlanCache()
  cache.get(options)
  const [build, find] = medianSeconds([() => buildTilePlan(options), () => cache.get(options)], 30) as [
    number,
    number,
  ]
  const microseconds = (seconds: number) => Number((seconds * 1e6).toPrecision(3))
  return {
    mask,
    build_us: microseconds(build),
    find_us: microseconds(find),
    bytes: buildTilePlan(options).byteLength,
  }
}

const rows = [
  measure('causal, 1 M tokens', 1 << 20, 1),
  measure('64 k tokens, 16 documents', 1 << 16, 16),
  measure('64 k tokens, 1,000 documents', 1 << 16, 1000),
  measure('64 k tokens, 10,000 documents', 1 << 16, 10_000),
]
console.table(rows)
saveResults('tile-plan', { ...tiles, rows })
