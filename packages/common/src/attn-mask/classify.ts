import type { RowInterval } from './row-intervals.js'

/** Whether the rows are one causal triangle over all keys, aligned to the bottom-right corner. */
export function isPureCausal(rows: readonly RowInterval[], numKeys: number): boolean {
  return rows.every((row, i) => {
    const end = Math.max(0, numKeys - (rows.length - 1 - i))
    return end === 0 ? row.start === row.end : row.start === 0 && row.end === end
  })
}

/**
 * Whether the rows are samples that follow each other in `[0, numKeys)`. Each row sees all keys of its sample
 * (`full`), or those up to its place in the sample's bottom-right aligned triangle (`causal`).
 */
export function isVarlen(rows: readonly RowInterval[], numKeys: number, kind: 'full' | 'causal'): boolean {
  const growth = kind === 'causal' ? 1 : 0
  let sample: RowInterval = { start: 0, end: 0 }
  let isFirst = true
  let isAfterGap = false
  for (const row of rows) {
    if (row.start === row.end) {
      // A sample without keys, or the rows at the top of a causal sample with more queries than keys.
      isAfterGap = true
      continue
    }
    const continues = !isFirst && !isAfterGap && row.start === sample.start && row.end === sample.end + growth
    const begins = row.start === sample.end && !(kind === 'causal' && isAfterGap && row.end - row.start !== 1)
    if (!continues && !begins) return false
    sample = row
    isFirst = false
    isAfterGap = false
  }
  return sample.end === numKeys
}
