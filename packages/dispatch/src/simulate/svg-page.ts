import {
  ArgumentError,
  type DrawTheme,
  escapeXml,
  requireTheme,
  styleSheet,
  svgText,
} from '@magi-attention/common'

export interface DrawSimulationOptions {
  /** Length of the longer side of the plot, in pixels, 64 to 4096. Default 480. */
  readonly size?: number | undefined
  /** Colours: `'auto'` follows the reader's light or dark scheme. Default `'auto'`. */
  readonly theme?: DrawTheme | undefined
  /** A line above the drawing. Default: none. */
  readonly title?: string | undefined
}

export interface CheckedDrawOptions {
  readonly size: number
  readonly theme: DrawTheme
  readonly title: string | undefined
}

/** @throws `ArgumentError` for options that are out of bounds */
export function checkDrawOptions(options: DrawSimulationOptions): CheckedDrawOptions {
  const { size = 480, theme = 'auto', title } = options
  if (!Number.isFinite(size) || size < 64 || size > 4096) {
    const expected = 'a number of pixels from 64 to 4096'
    throw new ArgumentError({ argument: 'size', expected, actual: size })
  }
  requireTheme(theme)
  if (title !== undefined && typeof title !== 'string') {
    throw new ArgumentError({ argument: 'title', expected: 'a string', actual: title })
  }
  return { size, theme, title }
}

/** One entry below a drawing: a style class and what it stands for. */
export interface LegendEntry {
  readonly kind: string
  readonly label: string
}

interface Page extends CheckedDrawOptions {
  /** What the drawing is about, where it has no title. */
  readonly name: string
  /** A line below the title. */
  readonly summary: string
  /** Class of the document. */
  readonly scope: string
  /** Style rules, each for a class within the document. */
  readonly rules: readonly string[]
  readonly content: readonly string[]
  /** Right and lower end of the content, in pixels. */
  readonly right: number
  readonly bottom: number
  readonly legend: readonly LegendEntry[]
}

/** Where the summary is, in pixels. */
export function summaryLine(title: string | undefined): number {
  return title === undefined ? 26 : 50
}

/** A self-contained SVG document: a card with title, summary, content and legend. */
export function svgPage(page: Page): string {
  const { title, summary, scope, theme, right, bottom } = page
  const width = Math.ceil(
    Math.max(340, right + 28, (title?.length ?? 0) * 8.6 + 40, summary.length * 6.1 + 40),
  )
  const legend = legendLines(page.legend, width - 40)
  const height = bottom + 24 + legend.length * 18
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
      `viewBox="0 0 ${width} ${height}" class="${scope}" role="img">`,
    `<title>${escapeXml(title ?? page.name)}</title>`,
    `<desc>${escapeXml(summary)}</desc>`,
    `<style>${[styleSheet(theme, scope), ...page.rules.map(rule => `.${scope} ${rule}`)].join('\n')}</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10"/>`,
    ...(title === undefined ? [] : [svgText('title', 20, 30, title)]),
    svgText('label', 20, summaryLine(title), summary),
    ...page.content,
    ...legend.map((line, i) => `<g transform="translate(20 ${bottom + 24 + i * 18})">${line}</g>`),
    '</svg>',
  ]
  return `${parts.join('\n')}\n`
}

function legendLines(entries: readonly LegendEntry[], width: number): string[] {
  const lines: string[] = []
  let x = Number.POSITIVE_INFINITY
  for (const { kind, label } of entries) {
    const entryWidth = Math.round(16 + label.length * 6.2 + 18)
    if (x + entryWidth > width) {
      lines.push('')
      x = 0
    }
    const swatch = `<rect class="${kind}" x="${x}" y="-9" width="10" height="10" rx="2"/>`
    lines[lines.length - 1] += swatch + svgText('label', x + 16, 0, label)
    x += entryWidth
  }
  return lines
}
