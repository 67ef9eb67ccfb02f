import { InternalError, NativeLibraryIncompatibleError } from '@magi-attention/common'
import { assertMember, type MemberType, memberSizes } from './member.js'

export interface StructOptions {
  /** Names of float members that may hold NaN or an infinity. Default: none. */
  readonly allowNonFinite?: readonly string[]
}

type MemberList = readonly (readonly [name: string, type: MemberType])[]

/** The values of a struct's members by name, without `struct_size`, which `pack` fills in itself. */
export type StructValues<M extends MemberList> = {
  readonly [E in M[number] as Exclude<E[0], 'struct_size'>]: E[1] extends 'ptr'
    ? bigint
    : E[1] extends 'i64' | 'u64'
      ? number | bigint
      : number
}

/** A C struct: its layout, and how to fill one. */
export interface Struct<M extends MemberList> {
  /** Size in bytes, padding included. */
  readonly sizeof: number
  /** Byte offset of each member. */
  readonly offsets: Readonly<Record<M[number][0], number>>
  /**
   * Writes all members and returns the bytes. The memory is reused by the next `pack` of this struct; pass `target`
   * to fill memory of your own.
   * @throws InternalError for a missing, unknown or ill-typed member
   */
  pack(values: StructValues<M>, target?: Uint8Array): Uint8Array
  /** Reads the members of type i32, u32, f32 and f64 as numbers, i64 and u64 as safe integers, ptr as bigint. */
  unpack(bytes: Uint8Array): { [E in M[number] as E[0]]: E[1] extends 'ptr' ? bigint : number }
  /**
   * Compares the layout with what the library says.
   * @throws NativeLibraryIncompatibleError
   */
  assertSize(name: string, librarySize: number, libraryPath: string): void
}

/**
 * Describes a C struct by its members in order, laid out with natural alignment.
 *
 * @example
 * const Args = defineStruct([['struct_size', 'i64'], ['q', 'ptr'], ['scale', 'f32']])
 * library_call(Args.pack({ q: q.data_ptr(), scale: 0.5 }))
 */
export function defineStruct<const M extends MemberList>(members: M, options: StructOptions = {}): Struct<M> {
  const offsets = new Map<string, number>()
  let end = 0
  let alignment = 1
  for (const [name, type] of members) {
    const size = memberSizes[type]
    if (size === undefined)
      throw new InternalError(`struct member ${name} has the unknown type ${String(type)}`)
    if (offsets.has(name)) throw new InternalError(`struct member ${name} is listed twice`)
    const offset = Math.ceil(end / size) * size
    offsets.set(name, offset)
    end = offset + size
    alignment = Math.max(alignment, size)
  }
  const sizeof = Math.ceil(end / alignment) * alignment
  const nonFinite = new Set(options.allowNonFinite)
  const own = new Uint8Array(new ArrayBuffer(sizeof))

  const pack = (values: StructValues<M>, target: Uint8Array = own): Uint8Array => {
    if (target.byteLength < sizeof)
      throw new InternalError(`a struct of ${sizeof} bytes needs a larger target`)
    for (const name of Object.keys(values)) {
      if (!offsets.has(name) || name === 'struct_size')
        throw new InternalError(`unknown struct member ${name}`)
    }
    const view = new DataView(target.buffer, target.byteOffset, sizeof)
    // Padding must not carry bytes of an earlier use.
    target.fill(0, 0, sizeof)
    for (const [name, type] of members) {
      const value = name === 'struct_size' ? sizeof : (values as Record<string, number | bigint>)[name]
      assertMember(`struct member ${name}`, type, value, nonFinite.has(name))
      writeMember(view, offsets.get(name)!, type, value!)
    }
    return target
  }

  const unpack = (bytes: Uint8Array) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, sizeof)
    const read = members.map(([name, type]) => [name, readMember(view, name, offsets.get(name)!, type)])
    return Object.fromEntries(read)
  }

  const assertSize = (name: string, librarySize: number, libraryPath: string): void => {
    if (librarySize === sizeof) return
    throw new NativeLibraryIncompatibleError(
      `${libraryPath}: its struct ${name} has ${librarySize} bytes, expected ${sizeof}. Build the library again.`,
    )
  }

  return { sizeof, offsets: Object.fromEntries(offsets) as Struct<M>['offsets'], pack, unpack, assertSize }
}

function writeMember(view: DataView, offset: number, type: MemberType, value: number | bigint): void {
  if (type === 'i32') view.setInt32(offset, value as number, true)
  else if (type === 'u32') view.setUint32(offset, value as number, true)
  else if (type === 'f32') view.setFloat32(offset, value as number, true)
  else if (type === 'f64') view.setFloat64(offset, value as number, true)
  else if (type === 'i64') view.setBigInt64(offset, BigInt(value), true)
  else view.setBigUint64(offset, BigInt(value), true)
}

function readMember(view: DataView, name: string, offset: number, type: MemberType): number | bigint {
  if (type === 'i32') return view.getInt32(offset, true)
  if (type === 'u32') return view.getUint32(offset, true)
  if (type === 'f32') return view.getFloat32(offset, true)
  if (type === 'f64') return view.getFloat64(offset, true)
  if (type === 'ptr') return view.getBigUint64(offset, true)
  const value = Number(type === 'i64' ? view.getBigInt64(offset, true) : view.getBigUint64(offset, true))
  if (!Number.isSafeInteger(value)) throw new InternalError(`struct member ${name} holds no safe integer`)
  return value
}
