import { AttnMaskType } from '../attn-mask-type.js'
import { AttnRanges } from '../attn-ranges.js'
import type { RowInterval } from './row-intervals.js'

interface Group {
  q0: number
  q1: number
  keys: RowInterval
  type: AttnMaskType
}

/**
 * Groups rows top-down into full and causal slices, the way MagiAttention's `AttnMask` does: equal rows are
 * full, rows that grow by one key on the right are causal, and rows without keys are the empty top of a
 * causal slice.
 */
export function slicesFromRows(rows: readonly RowInterval[]): {
  q_ranges: AttnRanges
  k_ranges: AttnRanges
  attn_mask_type: AttnMaskType[]
} {
  const groups: Group[] = []
  for (const [row, keys] of rows.entries()) addRow(groups, row, keys)
  return {
    q_ranges: AttnRanges.from_ranges(groups.map(group => [group.q0, group.q1] as const)),
    k_ranges: AttnRanges.from_ranges(groups.map(group => [group.keys.start, group.keys.end] as const)),
    attn_mask_type: groups.map(group => group.type),
  }
}

function addRow(groups: Group[], row: number, keys: RowInterval): void {
  const group = groups.at(-1)
  if (group !== undefined && canExtend(group, keys)) {
    group.q1 = row + 1
    // Rows without keys stay at the keys where their group began.
    if (!isEmpty(keys)) group.keys = keys
  } else if (group?.type === AttnMaskType.FULL && isStep(group.keys, keys)) {
    // The last full row is the first row of the triangle.
    group.q1--
    if (group.q1 === group.q0) groups.pop()
    groups.push({ q0: row - 1, q1: row + 1, keys, type: AttnMaskType.CAUSAL })
  } else {
    groups.push({ q0: row, q1: row + 1, keys, type: isEmpty(keys) ? AttnMaskType.CAUSAL : AttnMaskType.FULL })
  }
}

function canExtend(group: Group, keys: RowInterval): boolean {
  if (group.type === AttnMaskType.FULL) return keys.start === group.keys.start && keys.end === group.keys.end
  if (isEmpty(group.keys)) return keys.end - keys.start <= 1
  return isStep(group.keys, keys)
}

function isStep(above: RowInterval, below: RowInterval): boolean {
  return below.start === above.start && below.end === above.end + 1
}

function isEmpty(keys: RowInterval): boolean {
  return keys.start === keys.end
}
