/** Kernels in the order of the legend, with their names there. */
export const kernelNames: Readonly<Record<string, string>> = {
  ours: 'magi-attention',
  cudnn: 'cuDNN',
  flex: 'FlexAttention',
  fa3: 'FlashAttention-3 (recorded)',
  ffa: 'FFA (recorded)',
}

const light = {
  card: '#ffffff',
  border: '#e3e5e8',
  plot: '#f6f7f9',
  grid: '#dce1e7',
  ink: '#1c2128',
  muted: '#5b6570',
  ours: '#2f6fd0',
  cudnn: '#12946b',
  flex: '#d98a00',
  fa3: '#8250df',
  ffa: '#8a919b',
}

const dark: typeof light = {
  card: '#14181e',
  border: '#2c333d',
  plot: '#1c222a',
  grid: '#303844',
  ink: '#e8ebef',
  muted: '#9aa5b1',
  ours: '#5b9bf5',
  cudnn: '#2fbf8f',
  flex: '#f0ab2e',
  fa3: '#b08cf8',
  ffa: '#8a939e',
}

/** Follows the reader's colour scheme. Recorded kernels are dashed, ours is bold: colour alone tells nothing. */
export const styleSheet = [
  "text{font:11px ui-sans-serif,system-ui,'Segoe UI','DejaVu Sans',sans-serif}",
  '.title{font-size:15px;font-weight:600}',
  '.name{font-size:12px;font-weight:600}',
  '.line{fill:none;stroke-width:1.6;stroke-linejoin:round}',
  '.line.ours{stroke-width:3}',
  '.line.fa3,.line.ffa{stroke-dasharray:5 3}',
  ...rules(light),
  `@media (prefers-color-scheme:dark){${rules(dark).join('')}}`,
].join('\n')

function rules(colours: typeof light): string[] {
  return [
    `.card{fill:${colours.card};stroke:${colours.border}}`,
    `.plot{fill:${colours.plot}}`,
    `.grid{stroke:${colours.grid};stroke-width:1}`,
    `.title,.name{fill:${colours.ink}}`,
    `.label{fill:${colours.muted}}`,
    ...(['ours', 'cudnn', 'flex', 'fa3', 'ffa'] as const).flatMap(kernel => [
      `.line.${kernel}{stroke:${colours[kernel]}}`,
      `.dot.${kernel}{fill:${colours[kernel]}}`,
    ]),
  ]
}
