import { bandArea } from '../area.js'
import { coveredCells } from '../attn-mask/covered-cells.js'
import { checkInteger } from '../attn-range.js'
import { DenseMask } from '../dense-mask.js'
import { find_doubly_covered } from '../double-cover.js'
import { ArgumentError } from '../errors/index.js'
import { type Band, intersectBands, tightenBand } from '../rectangle-slices.js'
import { formatTokens } from './axis.js'
import { type DrawableMask, type DrawMaskOptions, type MaskShapes, toMaskShapes } from './mask-shapes.js'

export interface DrawMaskTextOptions extends DrawMaskOptions {
  /** Most lines for queries. Default 32. */
  maxRows?: number | undefined
  /** Most characters for keys. Default 64. */
  maxCols?: number | undefined
  /** Two or more characters, from nothing attended to everything attended. Default `'·░▒▓█'`. */
  glyphs?: string | undefined
}

const DEFAULT_GLYPHS = '·░▒▓█'

/** Rows times slices looked at one by one in the block of a character, where slices overlap. */
const BLOCK_WORK = 1024

/**
 * A mask as lines of text, queries downwards and keys to the right.
 *
 * A mask of at most `maxRows` x `maxCols` tokens shows each cell with the first or the last glyph. In a
 * larger one a character stands for a block of cells, and the glyphs between tell the share that is attended;
 * the first and the last still mean none and all. With only two glyphs, the last means half or more. Shares
 * come from the geometry of the slices, so the size of the mask costs nothing; where slices overlap in a
 * large block, the share is an estimate.
 *
 * @example
 * ```ts
 * console.log(draw_mask_text([[[0, 4], [0, 4], 'causal']], { glyphs: '0*' }))
 * // q\k  0 1 2 3
 * //   0 |* 0 0 0
 * //   1 |* * 0 0
 * //   2 |* * * 0
 * //   3 |* * * *
 * ```
 * @throws {@link ArgumentError} for something that is not a mask, or options that are out of bounds.
 * @throws {@link InvalidRangeError} for slices that leave the mask.
 */
export function draw_mask_text(mask: DrawableMask, options: DrawMaskTextOptions = {}): string {
  const shapes = toMaskShapes(mask, options)
  const maxRows = checkInteger(options.maxRows ?? 32, 'maxRows', 1)
  const maxCols = checkInteger(options.maxCols ?? 64, 'maxCols', 1)
  const glyphs = [...(options.glyphs ?? DEFAULT_GLYPHS)]
  if (glyphs.length < 2) {
    throw new ArgumentError({
      argument: 'glyphs',
      expected: 'two or more characters',
      actual: options.glyphs,
    })
  }
  const isExact = shapes.rows <= maxRows && shapes.cols <= maxCols
  const rowStarts = blockStarts(shapes.rows, maxRows)
  const colStarts = blockStarts(shapes.cols, maxCols)
  const lines = isExact ? exactLines(shapes, glyphs) : shareLines(shapes, rowStarts, colStarts, glyphs)

  const cellWidth = isExact && shapes.cols * 2 <= maxCols ? 2 : 1
  const rowLabels = rowStarts.slice(0, -1).map((row, i) => (isExact || i % 4 === 0 ? formatTokens(row) : ''))
  const margin = Math.max(3, ...rowLabels.map(label => label.length))
  const bar = /^[ -~]*$/.test(glyphs.join('')) ? '|' : '│'
  const text = options.title === undefined ? [] : [options.title, '']
  text.push(`${'q\\k'.padStart(margin)}  ${columnLabels(colStarts.slice(0, -1), cellWidth, isExact ? 1 : 8)}`)
  for (const [i, line] of lines.entries()) {
    text.push(`${rowLabels[i]!.padStart(margin)} ${bar}${line.join(' '.repeat(cellWidth - 1))}`)
  }
  if (shapes.rows === 0 || shapes.cols === 0) text.push(`(no cells: ${shapes.rows} x ${shapes.cols} tokens)`)
  else if (!isExact) text.push(...scale(shapes, lines.length, lines[0]!.length, glyphs, margin))
  return text.map(line => `${line.trimEnd()}\n`).join('')
}

/** Where each of at most `most` equal blocks starts, and the end of the last one. */
function blockStarts(length: number, most: number): number[] {
  const count = Math.min(length, most)
  return Array.from({ length: count + 1 }, (_, i) => (count === 0 ? 0 : Math.floor((i * length) / count)))
}

function exactLines({ rows, cols, shapes }: MaskShapes, glyphs: readonly string[]): string[][] {
  const cells = new DenseMask(rows, cols)
  for (const { band } of shapes) cells.paint(band)
  return cells.toRows().map(row => row.map(isAttended => (isAttended ? glyphs.at(-1)! : glyphs[0]!)))
}

function shareLines(
  { shapes }: MaskShapes,
  rowStarts: readonly number[],
  colStarts: readonly number[],
  glyphs: readonly string[],
): string[][] {
  const areDisjoint = find_doubly_covered(shapes.map(shape => shape.band)).length === 0
  const numCols = colStarts.length - 1
  return rowStarts.slice(0, -1).map((q0, r) => {
    const q1 = rowStarts[r + 1]!
    // Block by block, so that only one line of blocks is in memory.
    const blocks: Band[][] = Array.from({ length: numCols }, () => [])
    for (const { band } of shapes) {
      const inRows = tightenBand({ ...band, q0: Math.max(q0, band.q0), q1: Math.min(q1, band.q1) })
      if (inRows === null) continue
      for (let c = blockOf(inRows.k0, colStarts); c < numCols && colStarts[c]! < inRows.k1; c++) {
        const block = { q0, q1, k0: colStarts[c]!, k1: colStarts[c + 1]!, lo: inRows.lo, hi: inRows.hi }
        blocks[c]!.push(intersectBands(inRows, block))
      }
    }
    return blocks.map((bands, c) => {
      const size = (q1 - q0) * (colStarts[c + 1]! - colStarts[c]!)
      // One slice often covers a block alone, however many others do as well.
      const isFull = !areDisjoint && bands.some(band => bandArea(band) === size)
      const cells = isFull ? size : coveredCells(bands, { areDisjoint, maxWork: BLOCK_WORK }).cells
      return glyphOfShare(cells, size, glyphs)
    })
  })
}

/** The block that holds a position. */
function blockOf(position: number, starts: readonly number[]): number {
  let low = 0
  let high = starts.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (starts[middle]! <= position) low = middle
    else high = middle
  }
  return low
}

function glyphOfShare(cells: number, size: number, glyphs: readonly string[]): string {
  const last = glyphs.length - 1
  if (cells === 0) return glyphs[0]!
  if (cells === size) return glyphs[last]!
  if (last === 1) return glyphs[cells * 2 >= size ? 1 : 0]!
  return glyphs[1 + Math.min(last - 2, Math.floor((cells / size) * (last - 1)))]!
}

/** Labels of every n-th column, n a power of two and large enough to keep them apart. */
function columnLabels(starts: readonly number[], cellWidth: number, minStep: number): string {
  const longest = starts.reduce((length, start) => Math.max(length, formatTokens(start).length), 0)
  let step = minStep
  while (step * cellWidth < longest + 1) step *= 2
  const labels = starts.map((start, i) =>
    i % step === 0 ? formatTokens(start).padEnd(step * cellWidth) : '',
  )
  return labels.join('').trimEnd()
}

/** The line below a drawing that is not cell by cell. */
function scale(
  { rows, cols }: MaskShapes,
  lines: number,
  chars: number,
  glyphs: readonly string[],
  margin: number,
) {
  const about = rows % lines === 0 && cols % chars === 0 ? '' : 'about '
  const size = `${about}${formatTokens(Math.round(rows / lines))} x ${formatTokens(Math.round(cols / chars))}`
  const some = glyphs.length > 2 ? `, ${glyphs.slice(1, -1).join('')} some` : ''
  const key = some === '' ? `${glyphs[1]} half or more` : `${glyphs[0]} none${some}, ${glyphs.at(-1)} all`
  return ['', `${' '.repeat(margin)}  1 character = ${size} tokens: ${key}`]
}
