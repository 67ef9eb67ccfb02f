import type { DenseMask } from '../dense-mask.js'
import { ArgumentError } from '../errors/index.js'

/** The keys `[start, end)` that one query attends to. */
export interface RowInterval {
  readonly start: number
  readonly end: number
}

/** The keys of each row, or undefined when the keys of some row are not contiguous. */
export function rowIntervals(mask: DenseMask): RowInterval[] | undefined {
  const rows: RowInterval[] = []
  for (let row = 0; row < mask.rows; row++) {
    const interval = rowInterval(mask, row)
    if (interval === undefined) return undefined
    rows.push(interval)
  }
  return rows
}

/** @throws {@link ArgumentError} that names the first row whose keys are not contiguous. */
export function requireRowIntervals(mask: DenseMask): RowInterval[] {
  return Array.from({ length: mask.rows }, (_, row) => {
    const interval = rowInterval(mask, row)
    if (interval !== undefined) return interval
    throw new ArgumentError({
      argument: `mask[${row}]`,
      expected: 'contiguous keys in every row',
      actual: `${mask.data.subarray(row * mask.cols, (row + 1) * mask.cols)}`,
      hint: 'Build masks of other rows from slices, with AttnMask.from_ranges.',
    })
  })
}

/** A row without keys is `[row, row)`, cut to the keys that exist. */
function rowInterval(mask: DenseMask, row: number): RowInterval | undefined {
  const flags = mask.data.subarray(row * mask.cols, (row + 1) * mask.cols)
  const start = flags.indexOf(1)
  if (start === -1) {
    const place = Math.min(row, mask.cols)
    return { start: place, end: place }
  }
  const end = flags.lastIndexOf(1) + 1
  return flags.subarray(start, end).includes(0) ? undefined : { start, end }
}
