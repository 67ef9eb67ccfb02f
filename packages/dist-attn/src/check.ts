import { ArgumentError } from '@magi-attention/common'

/** Every option of a function with `true`, so that the compiler notices one that is missing. */
export type KeysOf<Options> = { readonly [Key in keyof Required<Options>]: true }

/** @throws ArgumentError unless `options` is an object that has known names only: a misspelt one does not pass */
export function requireOptions(functionName: string, options: unknown, keys: object): void {
  const names = Object.keys(keys)
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ArgumentError({
      argument: 'options',
      expected: `one object with options of ${functionName}: ${names.join(', ')}`,
      actual: options,
    })
  }
  const unknown = Object.keys(options).find(name => !Object.hasOwn(keys, name))
  if (unknown === undefined) return
  throw new ArgumentError({
    argument: unknown,
    expected: `an option that ${functionName} knows: ${names.join(', ')}`,
    actual: (options as Record<string, unknown>)[unknown],
  })
}

/** @throws ArgumentError unless `value` is a safe integer of at least `min` */
export function requireInteger(argument: string, value: unknown, min: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= min) return (value as number) + 0 // turns -0 into 0
  throw new ArgumentError({ argument, expected: `an integer >= ${min}`, actual: value })
}

/** True, false or left out. */
export function requireFlag(argument: string, value: unknown, byDefault = false): boolean {
  if (value === undefined) return byDefault
  if (typeof value === 'boolean') return value
  throw new ArgumentError({ argument, expected: 'true or false', actual: value })
}
