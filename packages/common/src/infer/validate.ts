import { AttnRange, checkInteger, type RangeLike } from '../attn-range.js'
import { ArgumentError, InvalidRangeError } from '../errors/index.js'

/** Returns a copy of `value` as a range with integer ends, `start <= end`; errors name `argument`. */
export function requireRange(argument: string, value: RangeLike): AttnRange {
  const [start, end]: readonly unknown[] =
    value instanceof AttnRange
      ? [value.start, value.end]
      : Array.isArray(value) && value.length === 2
        ? value
        : []
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || (start as number) > (end as number)) {
    throw new InvalidRangeError({
      argument,
      expected: 'an AttnRange or a pair [start, end] of integers with start <= end',
      actual: value,
    })
  }
  return new AttnRange(start as number, end as number)
}

/** Throws unless an options object came: a Python-style positional call would otherwise fail far away. */
export function requireOptions(name: string, options: unknown): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ArgumentError({
      argument: 'options',
      expected: `one object with the keyword arguments of ${name}`,
      actual: options,
    })
  }
}

/** Returns `[left, right]` of a sliding window; -1 stands for an unlimited side. */
export function requireWindowSize(value: unknown): [left: number, right: number] {
  if (!Array.isArray(value) || value.length !== 2) {
    throw new ArgumentError({
      argument: 'window_size',
      expected: 'a pair [left, right] of integers',
      actual: value,
      hint: 'Use -1 for a side without a limit.',
    })
  }
  return [checkInteger(value[0], 'window_size[0]', -1), checkInteger(value[1], 'window_size[1]', -1)]
}
