import { InternalError, NativeLibraryIncompatibleError } from '@magi-attention/common'
import type { LibraryHandle } from 'koffi'
import { assertMember, type MemberType } from './member.js'

/** What a native function may return. */
export type ResultType = 'i32' | 'i64' | 'string' | 'void'

/** A pointer argument: an address, memory of ours, or NULL. */
export type Pointer = bigint | ArrayBufferView | null

interface ArgumentValues {
  i32: number
  u32: number
  i64: number | bigint
  u64: number | bigint
  f32: number
  f64: number
  ptr: Pointer
}

interface ResultValues {
  i32: number
  i64: number
  string: string
  void: undefined
}

/** The TypeScript type of a native function with these parameter and result types. */
export type NativeFunction<A extends readonly MemberType[], R extends ResultType> = (
  ...args: { -readonly [I in keyof A]: ArgumentValues[A[I]] }
) => ResultValues[R]

const koffiTypes = {
  i32: 'int32_t',
  u32: 'uint32_t',
  i64: 'int64_t',
  u64: 'uint64_t',
  f32: 'float',
  f64: 'double',
  ptr: 'void *',
  string: 'const char *',
  void: 'void',
} as const

/** Binds one function. Every argument is checked before each call, since koffi would pass a wrong one on as it is. */
export function bindNativeFunction<const A extends readonly MemberType[], R extends ResultType>(
  handle: LibraryHandle,
  path: string,
  name: string,
  result: R,
  parameters: A,
): NativeFunction<A, R> {
  let call: (...args: unknown[]) => unknown
  try {
    call = handle.func(
      name,
      koffiTypes[result],
      parameters.map(type => koffiTypes[type]),
    )
  } catch (cause) {
    throw new NativeLibraryIncompatibleError(`${path} does not export ${name}. Build the library again.`, {
      cause,
    })
  }
  return ((...args: unknown[]) => {
    if (args.length !== parameters.length) {
      throw new InternalError(`${name} takes ${parameters.length} arguments, got ${args.length}`)
    }
    for (let i = 0; i < parameters.length; i++) assertArgument(name, i, parameters[i]!, args[i])
    const value = call(...args)
    return result === 'i64' ? Number(value) : value
  }) as NativeFunction<A, R>
}

function assertArgument(name: string, index: number, type: MemberType, value: unknown): void {
  if (type === 'ptr' && (value === null || ArrayBuffer.isView(value))) return
  assertMember(`argument ${index} of ${name}`, type, value, true)
}
