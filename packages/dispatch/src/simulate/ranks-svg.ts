import {
  type Band,
  bandOutline,
  drawAxes,
  formatCount,
  type PlotArea,
  tightenBand,
} from '@magi-attention/common'
import { Sharding } from '../dist-attn-solver/sharding.js'
import { requireOptions } from '../validate.js'
import { rankColours } from './rank-colours.js'
import type { Simulation } from './simulate.js'
import { checkDrawOptions, type DrawSimulationOptions, summaryLine, svgPage } from './svg-page.js'

/** More ranks than this are told apart by neighbourhood, and the legend shows some of them. */
const MAX_LEGEND_RANKS = 16

/**
 * The mask as an SVG document, queries downwards and keys to the right, coloured by the rank that computes
 * each part. The outlines come from the geometry of the slices, so the number of tokens does not matter; of
 * runs of queries thinner than half a pixel, only as many are drawn as there is room for.
 *
 * @throws `ArgumentError` for something that is not a simulation, or options that are out of bounds
 */
export function draw_ranks_svg(simulation: Simulation, options: DrawSimulationOptions = {}): string {
  requireOptions(simulation, 'simulation', 'what simulate() returned')
  requireOptions(options, 'options', '{ size, theme, title }')
  const checked = checkDrawOptions(options)
  const { cp_size, total_seqlen, imbalance } = simulation
  const side = checked.size
  const plot: PlotArea = {
    rows: total_seqlen,
    cols: total_seqlen,
    x: 78,
    y: summaryLine(checked.title) + 54,
    width: side,
    height: side,
  }
  const rules = rankColours(cp_size).map(
    (colour, rank) => `.r${rank}{fill:${colour};stroke:${colour};stroke-width:0.3}`,
  )
  const step = Math.ceil(cp_size / MAX_LEGEND_RANKS)
  const legend = Array.from({ length: Math.ceil(cp_size / step) }, (_, i) => ({
    kind: `r${i * step}`,
    label: `rank ${i * step}`,
  }))
  return svgPage({
    ...checked,
    name: 'Attention mask by rank',
    summary:
      `${formatCount(total_seqlen)} tokens in chunks of ${formatCount(simulation.chunk_size)} on ` +
      `${formatCount(cp_size)} ${cp_size === 1 ? 'rank' : 'ranks'} · ` +
      `largest work ${imbalance.toFixed(3)} times the mean`,
    scope: `magi-ranks-${checked.theme}`,
    rules,
    content: [...drawAxes(plot), ...drawRanks(simulation, plot)],
    right: plot.x + plot.width,
    bottom: plot.y + plot.height,
    legend,
  })
}

/** One path a rank. */
function drawRanks(simulation: Simulation, plot: PlotArea): string[] {
  const outlines = simulation.partitions.map(() => new Set<string>())
  const ascending = simulation.bands.toSorted((a, b) => a.q0 - b.q0)
  let active: Band[] = []
  let next = 0
  for (const { start, end, rank } of stripes(simulation, Math.floor(plot.height * 2))) {
    active = active.filter(band => band.q1 > start)
    for (; next < ascending.length && ascending[next]!.q0 < end; next++) active.push(ascending[next]!)
    for (const band of active) {
      const part = tightenBand({ ...band, q0: Math.max(band.q0, start), q1: Math.min(band.q1, end) })
      // Parts smaller than a pixel often have the same outline.
      if (part !== null) outlines[rank]!.add(bandOutline(part, plot))
    }
  }
  return outlines.map((paths, rank) => `<path class="r${rank}" d="${[...paths].join('')}"/>`)
}

interface Stripe {
  readonly start: number
  readonly end: number
  readonly rank: number
}

/** The query runs; where there are too many, equal stripes, each with the rank of its middle row. */
function stripes({ total_seqlen, chunk_size, partitions }: Simulation, most: number): Stripe[] {
  const queries = new Sharding({ total_seqlen, chunk_size, partitions }, 'simulation')
  const { runStarts, runEnds, runRanks } = queries
  if (runStarts.length <= most) {
    return Array.from(runStarts, (start, run) => ({ start, end: runEnds[run]!, rank: runRanks[run]! }))
  }
  return Array.from({ length: most }, (_, i) => {
    const start = Math.floor((i * total_seqlen) / most)
    const end = Math.floor(((i + 1) * total_seqlen) / most)
    return { start, end, rank: runRanks[queries.runAt(Math.floor((start + end) / 2))]! }
  })
}
