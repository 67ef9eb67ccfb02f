import { ArgumentError, ShapeError } from '@magi-attention/common'
import { requireArray, requireCount } from './require.js'

export { perm_idxs2unperm_idxs } from '@magi-attention/common'

/** A list whose items may be lists again, to any depth. */
export type NestedList<T> = readonly (T | NestedList<T>)[]

/** The items of a nested list, depth first: `[1, [2, [3]]]` gives `[1, 2, 3]`. */
export function flatten_nested_list<T>(nested_list: NestedList<T>): T[] {
  requireArray('nested_list', nested_list)
  return nested_list.flatMap(item => (Array.isArray(item) ? flatten_nested_list<T>(item) : [item as T]))
}

/**
 * A list as it is, and anything else as a list of `broadcast_to_length` copies. A list of one item is repeated
 * likewise.
 * @throws `ShapeError` when a list has neither one item nor `broadcast_to_length` of them.
 */
export function wrap_to_list<T>(x: T | readonly T[], broadcast_to_length = 1): T[] {
  requireCount('broadcast_to_length', broadcast_to_length)
  const list = Array.isArray(x) ? (x as readonly T[]) : [x as T]
  if (list.length === broadcast_to_length || broadcast_to_length === 1) return [...list]
  if (list.length === 1) return new Array<T>(broadcast_to_length).fill(list[0]!)
  throw new ShapeError({ argument: 'x', expected: `one item or ${broadcast_to_length}`, actual: list.length })
}

/** How {@link is_list_value_all} compares. */
export interface ListValueOptions<T> {
  /** The value to compare with. */
  readonly val?: T
  /** Compare with the first item instead. Default: false. */
  readonly just_same?: boolean
  /** The answer for an empty list. Default: false. */
  readonly allow_empty?: boolean
}

/**
 * Whether every item equals `val`, or, with `just_same`, the first item (compared by `Object.is`).
 * @throws `ArgumentError` unless exactly one of `val` and `just_same` is given.
 */
export function is_list_value_all<T>(list: readonly T[], options: ListValueOptions<T>): boolean {
  requireArray('list', list)
  const isSame = options.just_same === true
  if (isSame === 'val' in options) {
    throw new ArgumentError({ argument: 'just_same', expected: 'either val or just_same', actual: isSame })
  }
  if (list.length === 0) return options.allow_empty === true
  const value = isSame ? list[0] : options.val
  return list.every(item => Object.is(item, value))
}

/** Whether some item equals `val` (by `Object.is`). An empty list gives `allow_empty`, false by default. */
export function is_list_value_any<T>(
  list: readonly T[],
  options: { readonly val: T; readonly allow_empty?: boolean },
): boolean {
  requireArray('list', list)
  return list.length === 0 ? options.allow_empty === true : list.some(item => Object.is(item, options.val))
}

/** A type to test for: what `typeof` says, or a class. */
export type ListItemType =
  | 'string'
  | 'number'
  | 'bigint'
  | 'boolean'
  | 'object'
  | (abstract new (
      ...args: never
    ) => object)

/** How {@link is_list_type_all} compares. */
export interface ListTypeOptions {
  /** What `typeof` says of the items, or their class. */
  readonly _type?: ListItemType
  /** Compare with the type of the first item instead. Default: false. */
  readonly just_same?: boolean
  /** The answer for an empty list. Default: false. */
  readonly allow_empty?: boolean
}

/**
 * Whether every item is of one type: of `_type`, or, with `just_same`, of the first item's type.
 * @throws `ArgumentError` unless exactly one of `_type` and `just_same` is given.
 */
export function is_list_type_all(list: readonly unknown[], options: ListTypeOptions): boolean {
  requireArray('list', list)
  const isSame = options.just_same === true
  if (isSame === (options._type !== undefined)) {
    throw new ArgumentError({ argument: 'just_same', expected: 'either _type or just_same', actual: isSame })
  }
  if (list.length === 0) return options.allow_empty === true
  const type = options._type
  if (typeof type === 'function') return list.every(item => item instanceof type)
  if (type !== undefined) return list.every(item => typeof item === type)
  return list.every(item => typeof item === typeof list[0] && classOf(item) === classOf(list[0]))
}

function classOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? Object.getPrototypeOf(value) : undefined
}

/**
 * Rows become columns: `[[1, 2, 3], [4, 5, 6]]` gives `[[1, 4], [2, 5], [3, 6]]`, and `[]` gives `[]`.
 * @throws `ShapeError` when the rows differ in length.
 */
export function transpose_matrix<T>(matrix: readonly (readonly T[])[]): T[][] {
  requireArray('matrix', matrix)
  const numColumns = matrix[0]?.length ?? 0
  matrix.forEach((row, index) => {
    if (Array.isArray(row) && row.length === numColumns) return
    throw new ShapeError({
      argument: `matrix[${index}]`,
      expected: `${numColumns} items, as in matrix[0]`,
      actual: row,
    })
  })
  return Array.from({ length: numColumns }, (_, column) => matrix.map(row => row[column]!))
}
