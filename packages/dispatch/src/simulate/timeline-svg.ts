import { roundPixels, svgText } from '@magi-attention/common'
import type { Simulation } from './simulate.js'
import {
  checkDrawOptions,
  type DrawSimulationOptions,
  type LegendEntry,
  summaryLine,
  svgPage,
} from './svg-page.js'
import { type TimelineOptions, type TimeSpan, timeline } from './timeline.js'

export interface DrawTimelineOptions extends DrawSimulationOptions, TimelineOptions {
  /** Unit of the cost factors, to show on the axis: `'ms'`. Default: none. */
  readonly unit?: string | undefined
}

const rules = [
  '.host{fill:#2f6fd0}',
  '.remote0{fill:#12946b}',
  '.remote1{fill:#5bbf9b}',
  '.wire0{fill:#d98a00}',
  '.wire1{fill:#f0bd5e}',
]

/**
 * A forward pass over time as an SVG document: for each rank what it computes and, below, what it fetches.
 * Stages are light and dark in turn. The model is that of {@link timeline}.
 *
 * @throws `ArgumentError` for something that is not a simulation, or options that are out of bounds
 */
export function draw_timeline_svg(simulation: Simulation, options: DrawTimelineOptions = {}): string {
  const { ranks, duration } = timeline(simulation, options)
  const checked = checkDrawOptions(options)
  const unit = options.unit === undefined ? '' : ` ${options.unit}`
  const x = 78
  const y = summaryLine(checked.title) + 42
  const width = checked.size
  const rowHeight = Math.min(30, Math.max(2, width / ranks.length))
  const height = Math.ceil(rowHeight * ranks.length)
  const scale = duration === 0 ? 0 : width / duration
  const gap = rowHeight > 8 ? 2 : 0
  const barHeight = (rowHeight - 2 * gap) / 2

  const paths = new Map<string, string>()
  const draw = (kind: string, top: number, { start, end }: TimeSpan): void => {
    const [left, right] = [roundPixels(x + start * scale), roundPixels(x + end * scale)]
    const bar = `M${left} ${roundPixels(top)}H${right}v${roundPixels(barHeight)}H${left}z`
    paths.set(kind, (paths.get(kind) ?? '') + bar)
  }
  ranks.forEach(({ compute, communication }, rank) => {
    const top = y + rank * rowHeight + gap
    for (const span of compute) draw(span.stage === 0 ? 'host' : `remote${(span.stage - 1) % 2}`, top, span)
    for (const span of communication) draw(`wire${(span.stage - 1) % 2}`, top + barHeight, span)
  })
  const ticks = timeTicks(duration, Math.floor(width / 60))
  const axis = ticks.map(tick =>
    svgText('label', x + tick * scale, y - 10, formatTime(tick), 'text-anchor="middle"'),
  )
  const grid = ticks.map(tick => `M${roundPixels(x + tick * scale)} ${y}v${height}`).join('')
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(14 / rowHeight)))
  const labels = ranks.flatMap((_, rank) =>
    rank % step === 0
      ? [svgText('label', x - 9, y + (rank + 0.5) * rowHeight + 4, `rank ${rank}`, 'text-anchor="end"')]
      : [],
  )
  const mean = ranks.reduce((sum, { end }) => sum + end, 0) / ranks.length
  const hidden = hiddenShare(ranks)
  return svgPage({
    ...checked,
    name: 'Timeline of distributed attention',
    summary:
      `${formatTime(duration)}${unit} until the last rank is done, ${formatTime(mean)}${unit} on average` +
      (hidden === null ? '' : ` · ${Math.floor(hidden * 100)} % of the communication hidden`),
    scope: `magi-timeline-${checked.theme}`,
    rules,
    content: [
      `<rect class="plot" x="${x}" y="${y}" width="${width}" height="${height}"/>`,
      ...axis,
      ...(grid === '' ? [] : [`<path class="line grid" d="${grid}"/>`]),
      ...labels,
      ...Array.from(paths, ([kind, d]) => `<path class="${kind}" d="${d}"/>`),
    ],
    right: x + width,
    bottom: y + height,
    legend: legendOf(simulation),
  })
}

function legendOf({ overlap_degree, no_overlap }: Simulation): LegendEntry[] {
  if (overlap_degree === 0) return [{ kind: 'host', label: 'compute' }]
  const wire = { kind: 'wire0', label: 'fetch keys and values' }
  if (no_overlap) return [{ kind: 'host', label: 'compute' }, wire]
  return [
    { kind: 'host', label: 'compute on own keys' },
    { kind: 'remote0', label: 'compute on fetched keys' },
    wire,
  ]
}

/** Share of the time on the wire in which the rank computes; `null` when nothing is fetched. */
function hiddenShare(
  ranks: readonly { compute: readonly TimeSpan[]; communication: readonly TimeSpan[] }[],
): number | null {
  let total = 0
  let hidden = 0
  for (const { compute, communication } of ranks) {
    for (const wire of communication) {
      total += wire.end - wire.start
      for (const { start, end } of compute) {
        hidden += Math.max(0, Math.min(end, wire.end) - Math.max(start, wire.start))
      }
    }
  }
  return total === 0 ? null : hidden / total
}

/** Round times from 0 on, at most `count` steps. */
function timeTicks(duration: number, count: number): number[] {
  if (duration === 0) return [0]
  const least = duration / Math.max(1, count)
  const power = 10 ** Math.floor(Math.log10(least))
  const step = [1, 2, 5].map(factor => factor * power).find(size => size >= least) ?? 10 * power
  return Array.from({ length: Math.floor(duration / step) + 1 }, (_, i) => i * step)
}

/** Four digits, without zeros at the end. */
function formatTime(time: number): string {
  return String(Number(time.toPrecision(4)))
}
