import { formatTokens, tickPositions } from './axis.js'
import { roundPixels, svgText } from './svg-text.js'

/** Where the picture of a mask is, and what it shows. */
export interface PlotArea {
  /** Number of queries. */
  readonly rows: number
  /** Number of keys. */
  readonly cols: number
  /** Left edge, in pixels. */
  readonly x: number
  /** Upper edge, in pixels. */
  readonly y: number
  /** In pixels. */
  readonly width: number
  /** In pixels. */
  readonly height: number
  /** Whether each cell is drawn, so that ticks belong to cells and not to the lines between. Default false. */
  readonly isCellular?: boolean | undefined
}

/**
 * Axes of a mask, queries downwards and keys to the right, with the background and the grid of its plot.
 */
export function drawAxes(plot: PlotArea): string[] {
  const { x, y, width, height, rows, cols, isCellular = false } = plot
  const parts = [
    svgText('label', x + width / 2, y - 30, 'keys (k) →', 'text-anchor="middle"'),
    svgText(
      'label',
      0,
      0,
      '← queries (q)',
      `text-anchor="middle" transform="translate(24 ${roundPixels(y + height / 2)}) rotate(-90)"`,
    ),
  ]
  if (!isCellular)
    parts.push(
      `<rect class="plot" x="${x}" y="${y}" width="${roundPixels(width)}" height="${roundPixels(height)}"/>`,
    )
  const shift = isCellular ? 0.5 : 0
  const ticks = (length: number, pixels: number, spacing: number) =>
    tickPositions(length, Math.max(1, Math.floor(pixels / spacing))).filter(
      tick => !isCellular || tick < length,
    )
  let marks = ''
  let grid = ''
  for (const tick of ticks(cols, width, isCellular ? 20 : 52)) {
    const at = roundPixels(x + ((tick + shift) * width) / cols)
    parts.push(svgText('label', at, y - 10, formatTokens(tick), 'text-anchor="middle"'))
    if (!isCellular) {
      marks += `M${at} ${y - 5}V${y}`
      grid += `M${at} ${y}V${roundPixels(y + height)}`
    }
  }
  for (const tick of ticks(rows, height, isCellular ? 14 : 36)) {
    const at = roundPixels(y + ((tick + shift) * height) / rows)
    parts.push(svgText('label', x - 9, at + 4, formatTokens(tick), 'text-anchor="end"'))
    if (!isCellular) {
      marks += `M${x - 5} ${at}H${x}`
      grid += `M${x} ${at}H${roundPixels(x + width)}`
    }
  }
  if (grid !== '')
    parts.push(`<path class="line grid" d="${grid}"/>`, `<path class="line axis" d="${marks}"/>`)
  return parts
}
