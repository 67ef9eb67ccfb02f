import { ArgumentError, ShapeError } from '@magi-attention/common'
import { readRanges } from './mask/read-ranges.js'
import { readTypeCodes } from './mask/read-type-codes.js'
import type { AttnTypeMapInput, RangesInput } from './options/options.js'

type Pair = [start: number, end: number]

/** Slices grouped by their outer range. */
export type MergedRanges = [
  /** The distinct outer ranges, ascending; padded with `[0, 0]` to one per slice. */
  merged_outer: Pair[],
  sorted_outer: Pair[],
  sorted_inner: Pair[],
  /** Codes of the sorted slices; null if no types were given. */
  sorted_types: number[] | null,
  /** Where each group begins among the sorted slices; padded with 0 to one per slice. */
  range_map: number[],
  /** How many distinct outer ranges there are. */
  count: number,
]

/**
 * Sorts slices by their outer range, stably, and groups those that have the same one. The slices themselves do not change,
 * so attention over them does not either; no kernel here needs it.
 *
 * @throws as the mask options of `flex_flash_attn_func`
 */
export function merge_ranges(
  outer_ranges: RangesInput,
  inner_ranges: RangesInput,
  attn_type_map?: AttnTypeMapInput | null,
): MergedRanges {
  const outer = readPairs('outer_ranges', outer_ranges)
  const inner = readPairs('inner_ranges', inner_ranges)
  if (outer.length !== inner.length) {
    throw new ShapeError({
      argument: 'inner_ranges',
      expected: `${outer.length} ranges, as many as outer_ranges`,
      actual: inner.length,
    })
  }
  const types = readTypeCodes('attn_type_map', attn_type_map, outer.length)

  const order = outer.map((_, i) => i)
  order.sort((a, b) => outer[a]![0] - outer[b]![0] || outer[a]![1] - outer[b]![1])
  const sortedOuter = order.map(i => outer[i]!)
  const isGroupStart = sortedOuter.map((range, i) => {
    const previous = sortedOuter[i - 1]
    return previous === undefined || previous[0] !== range[0] || previous[1] !== range[1]
  })
  const starts = order.flatMap((_, i) => (isGroupStart[i] ? [i] : []))
  const padding = outer.length - starts.length
  return [
    [...starts.map(i => sortedOuter[i]!), ...Array.from({ length: padding }, (): Pair => [0, 0])],
    sortedOuter,
    order.map(i => inner[i]!),
    types === null && (attn_type_map === undefined || attn_type_map === null)
      ? null
      : order.map(i => types?.[i] ?? 0),
    [...starts, ...new Array<number>(padding).fill(0)],
    starts.length,
  ]
}

function readPairs(argument: string, input: RangesInput): Pair[] {
  if (input === undefined || input === null) {
    throw new ArgumentError({ argument, expected: 'ranges [start, end)', actual: input })
  }
  const flat = readRanges(argument, input, Number.MAX_SAFE_INTEGER, 'the largest integer')
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!])
}
