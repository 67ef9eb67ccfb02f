import { ArgumentError } from '@magi-attention/common'

/**
 * How the dynamic solver gives the parts of a mask to ranks. MagiAttention's simplex network flow, its fast
 * variant and its parallel binary greedy are not here.
 */
export const DynamicAttnAlgType = {
  /** NCQ: the rank of a query computes all of its row; only keys and values travel. Work may be uneven. */
  NON_COMMUNICATION_QO: 'non_communication_qo',
  /** GRG: in random order, each part goes to the rank with room that must fetch least for it; refined. */
  GREEDY_RANDOM_GRID: 'greedy_random_grid',
  /** Greedy under the least bound on what a rank fetches, and grids of ranks; the better one, refined. */
  BINARY_GREEDY: 'binary_greedy',
} as const
export type DynamicAttnAlgType = (typeof DynamicAttnAlgType)[keyof typeof DynamicAttnAlgType]

/** @throws `ArgumentError` for a name that is not listed */
export function requireDynamicAttnAlgType(value: unknown, argument: string): DynamicAttnAlgType {
  const known = Object.values(DynamicAttnAlgType)
  const found = known.find(type => type === value)
  if (found !== undefined) return found
  throw new ArgumentError({
    argument,
    expected: known.map(type => `'${type}'`).join(' | '),
    actual: value,
  })
}
