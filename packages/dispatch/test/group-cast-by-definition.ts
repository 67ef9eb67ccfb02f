import { expect } from 'vitest'
import type { GroupCollectiveArg } from '../src/meta/group-collective-arg.js'

/** Cuts rows into pieces; they must be used up. */
export function pieces<T>(rows: readonly T[], sizes: readonly number[]): T[][] {
  let start = 0
  const cut = sizes.map(size => {
    start += size
    return rows.slice(start - size, start)
  })
  expect(start).toBe(rows.length)
  return cut
}

/** Runs a group cast on all ranks by its definition: each slot takes the next piece of its source. */
export function groupCast(
  args: readonly GroupCollectiveArg[],
  inputs: readonly (readonly number[])[],
): number[][] {
  const queues = args.map(() => args.map((): number[][] => []))
  args.forEach((arg, source) => {
    const { input_split_sizes, dst_indices } = arg.to_group_cast_args()
    pieces(inputs[source]!, input_split_sizes).forEach((piece, i) => {
      for (const destination of dst_indices[i]!) queues[source]![destination]!.push(piece)
    })
  })
  const outputs = args.map((arg, rank) => {
    const { output_split_sizes, src_index } = arg.to_group_cast_args()
    return output_split_sizes.flatMap((size, slot) => {
      const piece = queues[src_index[slot]!]![rank]!.shift()
      expect(piece?.length).toBe(size)
      return piece!
    })
  })
  expect(queues.flat(2)).toEqual([])
  return outputs
}
