import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findPackageDir, loadNativeLibrary } from '@magi-attention/tensor/native'

const abiVersion = 1

export interface CommLibraryOptions {
  /** As in `libmagi_comm_shm`, without the prefix. */
  readonly name: string
  /** Environment variable that names another file. */
  readonly env: string
  /** How to build it, for messages. */
  readonly buildCommand: string
}

/**
 * Loads a library with the functions of comm.h.
 * @throws NativeLibraryNotFoundError, NativeLibraryIncompatibleError
 */
export function loadCommLibrary({ name, env, buildCommand }: CommLibraryOptions) {
  const library = loadNativeLibrary({
    name,
    env,
    packageDir: findPackageDir(dirname(fileURLToPath(import.meta.url))),
    platformPackage: `@magi-attention/comm-${process.platform}-${process.arch}`,
    abiVersion,
    abiVersionSymbol: 'magi_comm_abi_version',
    buildCommand,
  })
  const tail = ['ptr', 'i32'] as const // message, message_size
  return {
    jobOpen: library.func('magi_comm_job_open', 'i32', [
      ...(['i32', 'i32', 'ptr', 'i32', 'ptr', 'i64', 'f64', 'ptr', 'ptr'] as const),
      ...tail,
    ]),
    jobClose: library.func('magi_comm_job_close', 'i32', ['i64', ...tail]),
    groupReserve: library.func('magi_comm_group_reserve', 'i32', ['i64', 'ptr', 'i32', 'ptr', ...tail]),
    groupOpen: library.func('magi_comm_group_open', 'i32', ['i64', 'i64', 'ptr', 'i32', 'ptr', ...tail]),
    groupClose: library.func('magi_comm_group_close', 'i32', ['i64', ...tail]),
    exchange: library.func('magi_comm_exchange', 'i32', [
      ...(['i64', 'i32', 'ptr', 'ptr', 'i64', 'f64', 'i64', 'i32', 'ptr'] as const),
      ...tail,
    ]),
    reduce: library.func('magi_comm_reduce', 'i32', [
      ...(['i64', 'ptr', 'ptr', 'i64', 'i64', 'i32', 'ptr'] as const),
      ...tail,
    ]),
    test: library.func('magi_comm_test', 'i32', ['i64']),
    wait: library.func('magi_comm_wait', 'i32', ['i64', 'ptr', ...tail]),
    bytesWritten: library.func('magi_comm_bytes_written', 'i64', ['i64']),
  }
}

export type CommLibrary = ReturnType<typeof loadCommLibrary>

/** A text as C reads it. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`)
}
