import { bandArea } from '../area.js'
import { coveredCells } from '../attn-mask/covered-cells.js'
import { ATTN_MASK_TYPES, type AttnMaskType } from '../attn-mask-type.js'
import { ArgumentError } from '../errors/index.js'
import { formatCount, formatShare } from './axis.js'
import { bandOutline } from './band-polygon.js'
import { drawAxes, type PlotArea } from './mask-axes.js'
import {
  type DrawableMask,
  type DrawMaskOptions,
  type MaskShapes,
  type Shape,
  toMaskShapes,
} from './mask-shapes.js'
import { escapeXml, roundPixels, svgText } from './svg-text.js'
import { type DrawTheme, requireTheme, styleSheet } from './svg-theme.js'

export interface DrawMaskSvgOptions extends DrawMaskOptions {
  /** Length of the longer side of the mask, in pixels, 64 to 4096. Default 480. */
  size?: number | undefined
  /** Colours: `'auto'` follows the reader's light or dark scheme. Default `'auto'`. */
  theme?: DrawTheme | undefined
}

/** Up to this many tokens a side, each cell is drawn. */
const MAX_CELL_SIDE = 64
/** Up to this many slices, each is an element of its own with a tooltip; beyond, one element a mask type. */
const MAX_SLICE_ELEMENTS = 256
const MAX_CELL_PIXELS = 32
/** A very long and narrow mask is not to scale: its shorter side keeps this many pixels. */
const MIN_SIDE_PIXELS = 64
const MIN_WIDTH = 340
/** Rows times slices looked at one by one to count the attended cells, where slices overlap. */
const COUNT_WORK = 2 ** 22

interface Layout extends MaskShapes, PlotArea {
  readonly isCellular: boolean
}

/**
 * A mask as an SVG document, queries downwards and keys to the right, coloured by mask type.
 *
 * A mask of up to 64 x 64 tokens shows every cell. A larger one shows each slice as a polygon, its rectangle
 * cut by two diagonals, so the size of the mask does not matter; overlapping slices shine through. The
 * document is self-contained.
 *
 * @throws {@link ArgumentError} for something that is not a mask, or options that are out of bounds.
 * @throws {@link InvalidRangeError} for slices that leave the mask.
 */
export function draw_mask_svg(mask: DrawableMask, options: DrawMaskSvgOptions = {}): string {
  const shapes = toMaskShapes(mask, options)
  const { size = 480, theme = 'auto', title } = options
  if (!Number.isFinite(size) || size < 64 || size > 4096) {
    throw new ArgumentError({
      argument: 'size',
      expected: 'a number of pixels from 64 to 4096',
      actual: size,
    })
  }
  requireTheme(theme)
  const plot = layOut(shapes, size, title !== undefined)
  const summary = summarise(shapes)
  const legend = legendOf(plot)
  const textWidth = Math.max((title?.length ?? 0) * 8.6, summary.length * 6.1, legend.width)
  const width = Math.ceil(Math.max(MIN_WIDTH, plot.x + plot.width + 28, textWidth + 40))
  const legendY = plot.y + plot.height + 24
  const height = Math.ceil(legendY + 24)
  const scope = `magi-mask-${theme}`
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
      `viewBox="0 0 ${width} ${height}" class="${scope}" role="img">`,
    `<title>${escapeXml(title ?? 'Attention mask')}</title>`,
    `<desc>${escapeXml(summary)}</desc>`,
    `<style>${styleSheet(theme, scope)}</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10"/>`,
    ...(title === undefined ? [] : [svgText('title', 20, 30, title)]),
    svgText('label', 20, plot.y - 54, summary),
    ...drawAxes(plot),
    ...(plot.isCellular ? drawCells(plot) : drawSlices(plot)),
    `<g transform="translate(20 ${legendY})">${legend.svg}</g>`,
    '</svg>',
  ]
  return `${parts.join('\n')}\n`
}

function layOut(shapes: MaskShapes, size: number, hasTitle: boolean): Layout {
  const longest = Math.max(shapes.rows, shapes.cols, 1)
  const scale = Math.min(size / longest, MAX_CELL_PIXELS)
  const isCellular = longest <= MAX_CELL_SIDE && shapes.rows > 0 && shapes.cols > 0
  const least = isCellular ? 0 : MIN_SIDE_PIXELS
  return {
    ...shapes,
    x: 78,
    y: hasTitle ? 104 : 80,
    width: Math.max(shapes.cols * scale, least),
    height: Math.max(shapes.rows * scale, least),
    isCellular,
  }
}

/** `16 x 16 tokens, 4 slices, 82 of 256 cells attended (32 %)`. */
function summarise({ rows, cols, shapes }: MaskShapes): string {
  const { cells, isExact } = coveredCells(
    shapes.map(shape => shape.band),
    { maxWork: COUNT_WORK },
  )
  const total = rows * cols
  const slices = `${formatCount(shapes.length)} ${shapes.length === 1 ? 'slice' : 'slices'}`
  const size = `${formatCount(rows)} × ${formatCount(cols)} tokens · ${slices}`
  if (total === 0) return size
  const share = `${isExact ? '' : '≈ '}${formatShare(cells / total)}`
  if (total > 1e6) return `${size} · ${share} attended`
  return `${size} · ${formatCount(cells)} of ${formatCount(total)} cells attended (${share})`
}

/** One path a mask type, a square for each cell; where slices overlap, the first one gives the colour. */
function drawCells({ x, y, width, rows, cols, shapes }: Layout): string[] {
  const pixels = width / cols
  const gap = Math.min(3, pixels * 0.2)
  const side = roundPixels(pixels - gap)
  const paths = new Map<string, string>()
  const add = (kind: string, row: number, col: number) => {
    const [left, top] = [roundPixels(x + col * pixels + gap / 2), roundPixels(y + row * pixels + gap / 2)]
    paths.set(kind, `${paths.get(kind) ?? ''}M${left} ${top}h${side}v${side}h${-side}z`)
  }
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) add(typeOfCell(shapes, row, col) ?? 'masked', row, col)
  }
  return Array.from(paths, ([kind, d]) => `<path class="cells ${kind}" d="${d}"/>`)
}

function typeOfCell(shapes: readonly Shape[], row: number, col: number): AttnMaskType | undefined {
  return shapes.find(({ band: { q0, q1, k0, k1, lo, hi } }) => {
    const isInside = q0 <= row && row < q1 && k0 <= col && col < k1
    return isInside && lo <= col - row && col - row <= hi
  })?.type
}

function drawSlices(plot: Layout): string[] {
  const { shapes } = plot
  const outline = (shape: Shape) => bandOutline(shape.band, plot)
  if (!isOpaque(shapes, false)) {
    return shapes.map(
      shape =>
        `<path class="slice ${shape.type}" d="${outline(shape)}"><title>${tooltip(shape)}</title></path>`,
    )
  }
  return ATTN_MASK_TYPES.flatMap(type => {
    const outlines = shapes.filter(shape => shape.type === type).map(outline)
    // Slices smaller than a pixel often have the same outline.
    return outlines.length === 0
      ? []
      : [`<path class="area ${type}" d="${[...new Set(outlines)].join('')}"/>`]
  })
}

function tooltip({ band, type }: Shape): string {
  const { q0, q1, k0, k1 } = band
  return `${type}: queries [${q0}, ${q1}), keys [${k0}, ${k1}), ${formatCount(bandArea(band))} cells`
}

function legendOf({ rows, cols, shapes, isCellular }: Layout): { svg: string; width: number } {
  const entries = ATTN_MASK_TYPES.filter(type => shapes.some(shape => shape.type === type)).map(type => ({
    kind: isOpaque(shapes, isCellular) ? type : `slice ${type}`,
    label: type as string,
  }))
  if (rows > 0 && cols > 0) entries.push({ kind: isCellular ? 'masked' : 'plot', label: 'masked' })
  let width = 0
  let svg = ''
  for (const { kind, label } of entries) {
    svg += `<rect class="${kind}" x="${width}" y="-9" width="10" height="10" rx="2"/>`
    svg += svgText('label', width + 16, 0, label)
    width += Math.round(16 + label.length * 6.2 + 18)
  }
  return { svg, width }
}

/** Few slices of a large mask are translucent, so that overlaps show. */
function isOpaque(shapes: readonly Shape[], isCellular: boolean): boolean {
  return isCellular || shapes.length > MAX_SLICE_ELEMENTS
}
