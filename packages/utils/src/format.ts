import { ArgumentError } from '@magi-attention/common'

/**
 * A duration as people read it: three digits and a fitting unit.
 * @param seconds Duration in seconds, not NaN.
 * @returns `'380 ns'`, `'12.3 µs'`, `'4.57 ms'`, `'1.20 s'`, `'3 min 20 s'`, `'2 h 05 min'`.
 * @throws `ArgumentError` when `seconds` is not a finite number.
 */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) {
    throw new ArgumentError({ argument: 'seconds', expected: 'a finite number of seconds', actual: seconds })
  }
  if (seconds < 0) return `-${formatDuration(-seconds)}`
  const whole = Math.round(seconds)
  if (whole >= 3600) {
    const minutes = Math.round(seconds / 60)
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
  }
  if (whole >= 60) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
  const [factor, unit] = durationUnits.find(([size]) => seconds * size >= 0.9995) ?? ([1e9, 'ns'] as const)
  return `${threeDigits(seconds * factor)} ${unit}`
}

const durationUnits = [
  [1, 's'],
  [1e3, 'ms'],
  [1e6, 'µs'],
  [1e9, 'ns'],
] as const

/**
 * A size in bytes with a binary unit.
 * @returns `'512 B'`, `'1.50 KiB'`, `'64.0 MiB'`, `'140 GiB'`.
 * @throws `ArgumentError` when `bytes` is not a finite number.
 */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) {
    throw new ArgumentError({ argument: 'bytes', expected: 'a finite number of bytes', actual: bytes })
  }
  if (bytes < 0) return `-${formatBytes(-bytes)}`
  let value = bytes
  let unit = 0
  while (value >= 1023.5 && unit < byteUnits.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? Math.round(value) : threeDigits(value)} ${byteUnits[unit]}`
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

function threeDigits(value: number): string {
  if (value === 0) return '0'
  if (value >= 99.95) return String(Math.round(value))
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2)
}

/** How {@link formatTable} sets a column: texts to the left, numbers to the right. */
export type ColumnAlignment = 'left' | 'right'

/**
 * Rows of text as a table for a terminal, with a header and a rule below it.
 * @param header Column titles.
 * @param rows Cells, as many in each row as there are titles. Numbers are printed as they are.
 * @param options.align Alignment of each column. Default: right where every cell is a number, else left.
 * @throws `ArgumentError` when a row has another number of cells than the header.
 */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  options: { readonly align?: readonly ColumnAlignment[] } = {},
): string {
  rows.forEach((row, index) => {
    if (row.length === header.length) return
    throw new ArgumentError({ argument: `rows[${index}]`, expected: `${header.length} cells`, actual: row })
  })
  const align = header.map((_, column) => {
    const isNumeric = rows.length > 0 && rows.every(row => typeof row[column] === 'number')
    return options.align?.[column] ?? (isNumeric ? 'right' : 'left')
  })
  const texts = [header, ...rows].map(row => row.map(String))
  const widths = header.map((_, column) => Math.max(...texts.map(row => row[column]!.length)))
  const lines = texts.map(row => {
    const cells = row.map((cell, column) => {
      return align[column] === 'right' ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)
    })
    return cells.join('  ').trimEnd()
  })
  lines.splice(1, 0, widths.map(width => '-'.repeat(width)).join('  '))
  return lines.join('\n')
}
