import { ArgumentError, IndexError, ShapeError } from '@magi-attention/common'

/** Sizes of the dimensions, outermost first. `[]` is a scalar. */
export type Shape = readonly number[]

/** The native operations take at most this many dimensions. */
export const maxRank = 8

/** Sizes as separate arguments or as one array, then perhaps options: `(2, 3)`, `([2, 3])`, `(2, 3, { dtype })`. */
export type SizeArguments<O> =
  | readonly [...sizes: number[]]
  | readonly [...sizes: number[], options: O]
  | readonly [sizes: Shape]
  | readonly [sizes: Shape, options: O | undefined]

export function splitSizeArguments<O extends object>(args: SizeArguments<O>): [Shape, O | undefined] {
  const list: readonly unknown[] = args
  if (Array.isArray(list[0])) {
    if (list.length > 2) {
      throw new ArgumentError({
        argument: 'size',
        expected: 'one array of sizes, then options',
        actual: list,
      })
    }
    return [assertShape('size', list[0]), assertOptions(list[1])]
  }
  const last = list.at(-1)
  const hasOptions = (typeof last === 'object' && last !== null) || (list.length > 0 && last === undefined)
  return [
    assertShape('size', hasOptions ? list.slice(0, -1) : list),
    hasOptions ? assertOptions(last) : undefined,
  ]
}

function assertOptions<O extends object>(value: unknown): O | undefined {
  if (value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value)))
    return value as O
  throw new ArgumentError({ argument: 'options', expected: 'an object', actual: value })
}

/** @throws ShapeError unless `value` is a list of at most 8 sizes whose product is a safe integer */
export function assertShape(argument: string, value: unknown): Shape {
  const ok = Array.isArray(value) && value.every(size => Number.isSafeInteger(size) && size >= 0)
  if (!ok || value.length > maxRank || !Number.isSafeInteger(numelOf(value) * 8)) {
    throw new ShapeError({
      argument,
      expected: `at most ${maxRank} sizes, integers of 0 or more`,
      actual: value,
    })
  }
  return Object.freeze([...value])
}

export function numelOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride
    stride *= Math.max(shape[i]!, 1)
  }
  return strides
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i])
}

/** @throws ArgumentError unless `value` is an integer of at least `minimum` */
export function assertInteger(argument: string, value: unknown, minimum = Number.MIN_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && (value as number) >= minimum) return value as number
  const bound = minimum === Number.MIN_SAFE_INTEGER ? '' : ` of at least ${minimum}`
  throw new ArgumentError({ argument, expected: `an integer${bound}`, actual: value })
}

/**
 * A dimension of a tensor of `rank` dimensions; negative ones count from the end.
 * @throws IndexError
 */
export function normalizeDim(argument: string, dim: unknown, rank: number): number {
  const value = assertInteger(argument, dim)
  if (value >= -rank && value < rank) return value < 0 ? value + rank : value
  const expected =
    rank === 0 ? 'no dimension (the tensor is a scalar)' : `a dimension in [${-rank}, ${rank - 1}]`
  throw new IndexError({ argument, expected, actual: dim })
}

/** The sizes before, at and after a dimension, as products: any copy along it is over `[outer, size, inner]`. */
export function splitAt(shape: Shape, dim: number): { outer: number; size: number; inner: number } {
  return { outer: numelOf(shape.slice(0, dim)), size: shape[dim]!, inner: numelOf(shape.slice(dim + 1)) }
}

/**
 * The common shape of two operands: sizes are aligned at the end, and a size of 1 stretches (torch's rule).
 * @throws ShapeError if a pair of sizes differs and neither is 1
 */
export function broadcastShapes(argument: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const sizeA = a[a.length - rank + i] ?? 1
    const sizeB = b[b.length - rank + i] ?? 1
    if (sizeA === sizeB || sizeB === 1) return sizeA
    if (sizeA === 1) return sizeB
    throw new ShapeError({ argument, expected: `a shape that broadcasts with [${a.join(', ')}]`, actual: b })
  })
}

/** Strides that read a dense tensor of `shape` as if it had the broadcast shape `target`. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const strides = stridesOf(shape)
  const lead = target.length - shape.length
  return target.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : strides[i - lead]!))
}

/**
 * The shape of a view, with at most one -1 worked out.
 * @throws ShapeError if the number of elements does not fit
 */
export function inferViewShape(sizes: readonly number[], numel: number): Shape {
  const known = numelOf(sizes.map(size => (size === -1 ? 1 : size)))
  const unknown = sizes.filter(size => size === -1).length
  if (unknown === 1 && known > 0 && numel % known === 0) {
    return assertShape(
      'size',
      sizes.map(size => (size === -1 ? numel / known : size)),
    )
  }
  if (unknown === 0 && assertShape('size', sizes) && known === numel) return Object.freeze([...sizes])
  throw new ShapeError({
    argument: 'size',
    expected: `sizes of ${numel} elements in all, at most one of them -1`,
    actual: sizes,
  })
}
