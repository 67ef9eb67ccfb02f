import { ArgumentError, IndexError } from '@magi-attention/common'
import { assertInteger } from '@magi-attention/tensor/internal'
import { assertSizes } from '../check.js'

/**
 * A group cast as one member sees it: it cuts its input into pieces, each for a set of members, and its output into
 * slots, each filled by the next piece that one member has for it. A group reduce is the same read backwards: pieces
 * with one destination, slots with several sources.
 */
export interface GroupPlan {
  /** Rows of each piece of the input. */
  readonly inputSplits: readonly number[]
  /** Rows of each slot of the output. */
  readonly outputSplits: readonly number[]
  /** For each piece, the members that get it. */
  readonly destinations: readonly (readonly number[])[]
  /** For each slot, the members whose next piece goes there, in order. */
  readonly sources: readonly (readonly number[])[]
}

export interface GroupPlanOptions {
  readonly input_split_sizes: readonly number[]
  readonly output_split_sizes: readonly number[]
}

/**
 * The plan of a group cast. Empty entries with the index `size` are padding and do not count.
 * @throws ArgumentError, IndexError
 */
export function parseCastPlan(
  options: GroupPlanOptions & {
    readonly dst_indices: readonly (readonly number[])[]
    readonly src_index: readonly number[]
  },
  size: number,
): GroupPlan {
  const inputSplits = assertSizes('input_split_sizes', options.input_split_sizes)
  const outputSplits = assertSizes('output_split_sizes', options.output_split_sizes)
  return {
    inputSplits,
    outputSplits,
    destinations: parseIndexSets('dst_indices', options.dst_indices, inputSplits, size, false),
    sources: parseIndices('src_index', options.src_index, outputSplits, size),
  }
}

/**
 * The plan of a group reduce.
 * @throws ArgumentError, IndexError
 */
export function parseReducePlan(
  options: GroupPlanOptions & {
    readonly dst_index: readonly number[]
    readonly src_indices: readonly (readonly number[])[]
  },
  size: number,
): GroupPlan {
  const inputSplits = assertSizes('input_split_sizes', options.input_split_sizes)
  const outputSplits = assertSizes('output_split_sizes', options.output_split_sizes)
  return {
    inputSplits,
    outputSplits,
    destinations: parseIndices('dst_index', options.dst_index, inputSplits, size),
    sources: parseIndexSets('src_indices', options.src_indices, outputSplits, size, true),
  }
}

function assertList(argument: string, value: unknown, length: number): readonly unknown[] {
  if (Array.isArray(value) && value.length === length) return value
  throw new ArgumentError({
    argument,
    expected: `a list of ${length} entries, one for each size`,
    actual: value,
  })
}

/** False for padding. */
function parseIndex(argument: string, value: unknown, rows: number, size: number): boolean {
  const index = assertInteger(argument, value, 0)
  if (index < size) return true
  if (index === size && rows === 0) return false
  throw new IndexError({ argument, expected: `a rank of the group, below ${size}`, actual: value })
}

function parseIndices(
  argument: string,
  value: unknown,
  splits: readonly number[],
  size: number,
): (readonly number[])[] {
  return assertList(argument, value, splits.length).map((index, i) =>
    parseIndex(`${argument}[${i}]`, index, splits[i]!, size) ? [index as number] : [],
  )
}

function parseIndexSets(
  argument: string,
  value: unknown,
  splits: readonly number[],
  size: number,
  isAscending: boolean,
): (readonly number[])[] {
  return assertList(argument, value, splits.length).map((set, i) => {
    const name = `${argument}[${i}]`
    if (!Array.isArray(set)) {
      throw new ArgumentError({ argument: name, expected: 'a list of ranks of the group', actual: set })
    }
    const members = set.filter((index, j) => parseIndex(`${name}[${j}]`, index, splits[i]!, size)) as number[]
    if (new Set(members).size !== members.length) {
      throw new ArgumentError({ argument: name, expected: 'each rank once', actual: set })
    }
    if (isAscending && members.some((member, j) => j > 0 && member < members[j - 1]!)) {
      throw new ArgumentError({ argument: name, expected: 'ranks in ascending order', actual: set })
    }
    return members
  })
}
