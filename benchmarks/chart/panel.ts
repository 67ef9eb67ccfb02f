import type { Series } from './rates.js'

export interface Panel {
  readonly title: string
  readonly series: readonly Series[]
  /** Position and size of the plot, in pixels. The title stands above, the labels left and below. */
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  /** Upper ends of the axes. */
  readonly maxRate: number
  readonly minTokens: number
  readonly maxTokens: number
}

const rateStep = 200

/** One plot: rate by number of tokens, which doubles from tick to tick. */
export function drawPanel(panel: Panel): string {
  const { x, y, width, height, maxRate, minTokens, maxTokens } = panel
  const right = x + width
  const bottom = y + height
  const span = Math.log2(maxTokens / minTokens) || 1
  const atTokens = (tokens: number) => round(x + (width * Math.log2(tokens / minTokens)) / span)
  const atRate = (rate: number) => round(bottom - (height * rate) / maxRate)

  const parts = [
    `<text class="name" x="${x}" y="${y - 8}">${panel.title}</text>`,
    `<rect class="plot" x="${x}" y="${y}" width="${width}" height="${height}"/>`,
  ]
  for (let rate = 0; rate <= maxRate; rate += rateStep) {
    parts.push(`<path class="grid" d="M${x} ${atRate(rate)}H${right}"/>`)
    parts.push(`<text class="label" x="${x - 5}" y="${atRate(rate) + 4}" text-anchor="end">${rate}</text>`)
  }
  for (let tokens = minTokens; tokens <= maxTokens; tokens *= 2) {
    parts.push(
      `<text class="label" x="${atTokens(tokens)}" y="${bottom + 14}" text-anchor="middle">${tokens / 1024}k</text>`,
    )
  }
  // Ours is drawn last, on top.
  for (const { kernel, points } of panel.series.toSorted(
    (a, b) => Number(a.kernel === 'ours') - Number(b.kernel === 'ours'),
  )) {
    const path = points.map(([tokens, rate]) => `${atTokens(tokens)} ${atRate(rate)}`).join('L')
    parts.push(`<path class="line ${kernel}" d="M${path}"/>`)
    for (const [tokens, rate] of points) {
      const tip = `<title>${kernel}, ${tokens} tokens: ${rate} TFLOP/s</title>`
      parts.push(
        `<circle class="dot ${kernel}" cx="${atTokens(tokens)}" cy="${atRate(rate)}" r="2.5">${tip}</circle>`,
      )
    }
  }
  return parts.join('\n')
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10
}
