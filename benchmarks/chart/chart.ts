import { drawPanel } from './panel.js'
import { type ResultRow, seriesOf } from './rates.js'
import { kernelNames, styleSheet } from './style.js'

const columns = 3
const plot = { width: 250, height: 130 }
const cell = { width: 305, height: 185 }
const top = 84
const margin = 20

const masks = ['full', 'causal', 'sliding-window', 'varlen-full', 'varlen-causal', 'varlen-block-causal']
const directions = ['forward', 'backward'] as const

/** The chart of all masks and both passes as an SVG document. `gpu` is its name for the title. */
export function drawChart(rows: readonly ResultRow[], headDim: number, gpu: string): string {
  const panels = directions.flatMap(direction =>
    masks.map(mask => ({
      title: `${mask.replaceAll('-', ' ')}, ${direction}`,
      series: seriesOf(rows, mask, headDim, direction),
    })),
  )
  const points = panels.flatMap(({ series }) => series.flatMap(({ points }) => points))
  const maxRate = Math.ceil(Math.max(...points.map(([, rate]) => rate)) / 200) * 200
  const minTokens = Math.min(...points.map(([tokens]) => tokens))
  const maxTokens = Math.max(...points.map(([tokens]) => tokens))

  const width = columns * cell.width + 2 * margin
  const height = top + Math.ceil(panels.length / columns) * cell.height + margin
  const used = Object.keys(kernelNames).filter(kernel =>
    panels.some(({ series }) => series.some(line => line.kernel === kernel)),
  )
  const title = `Attention on one ${gpu}: TFLOP/s by tokens, head_dim ${headDim}, 64 query and 8 key heads, bfloat16`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${title}</title>`,
    `<style>\n${styleSheet}\n</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>`,
    `<text class="title" x="${margin}" y="28">${title}</text>`,
    ...legend(used),
    ...panels.map((panel, index) =>
      drawPanel({
        ...panel,
        ...plot,
        x: margin + 34 + (index % columns) * cell.width,
        y: top + 16 + Math.floor(index / columns) * cell.height,
        maxRate,
        minTokens,
        maxTokens,
      }),
    ),
    '</svg>\n',
  ].join('\n')
}

function legend(kernels: readonly string[]): string[] {
  let x = margin
  return kernels.flatMap(kernel => {
    const name = kernelNames[kernel]!
    const begin = x
    // There is no way to measure text here; a letter of this font is about 6.5 pixels wide.
    x += 30 + 6.5 * name.length + 24
    return [
      `<path class="line ${kernel}" d="M${begin} 52h24"/>`,
      `<text class="label" x="${begin + 30}" y="56">${name}</text>`,
    ]
  })
}
