import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import {
  InternalError,
  NativeLibraryIncompatibleError,
  NativeLibraryNotFoundError,
} from '@magi-attention/common'
import koffi from 'koffi'
import { findLibraryFileProblem } from './library-file.js'
import type { MemberType } from './member.js'
import { bindNativeFunction, type NativeFunction, type ResultType } from './native-function.js'

export interface NativeLibraryOptions {
  /** Name without prefix and ending: `magi_tensor_cpu` for `libmagi_tensor_cpu.so`. */
  readonly name: string
  /** Environment variable that names another file. */
  readonly env: string
  /** Folder of the package; a local build lies in its lib/. */
  readonly packageDir: string
  /** Package that ships a prebuilt library in its root, e.g. `@magi-attention/tensor-linux-x64`. */
  readonly platformPackage: string
  readonly abiVersion: number
  /** The function that returns the library's ABI version; the first to be called. */
  readonly abiVersionSymbol: string
  /** The command that builds the library, for messages. */
  readonly buildCommand: string
}

/** A loaded library. Libraries stay loaded until the process ends. */
export interface NativeLibrary {
  /** The file that was loaded. */
  readonly path: string
  /**
   * Binds an exported function.
   * @throws NativeLibraryIncompatibleError if the library does not export it
   */
  func<const A extends readonly MemberType[], R extends ResultType>(
    name: string,
    result: R,
    parameters: A,
  ): NativeFunction<A, R>
}

/**
 * Finds and loads a native library: first the file named by the environment variable, then `lib/` of the package,
 * then the platform package. A file that is there but unusable is an error; the search does not go on behind it.
 *
 * @throws NativeLibraryNotFoundError if there is none, with what was tried and how to build one
 * @throws NativeLibraryIncompatibleError if the file is truncated, foreign, or of another ABI version
 */
export function loadNativeLibrary(options: NativeLibraryOptions): NativeLibrary {
  const { path, origin } = findLibrary(options)
  const remedy =
    origin === 'override' ? `Correct or unset ${options.env}.` : `Build it again: ${options.buildCommand}`
  const incompatible = (reason: string, cause?: unknown) =>
    new NativeLibraryIncompatibleError(`${path} cannot be used: ${reason}. ${remedy}`, { cause })

  const problem = findLibraryFileProblem(path)
  if (problem !== undefined) throw incompatible(problem)
  let handle: ReturnType<typeof koffi.load>
  try {
    handle = koffi.load(path)
  } catch (cause) {
    throw incompatible(`it does not load (${(cause as Error).message})`, cause)
  }
  let version: number
  try {
    version = handle.func(options.abiVersionSymbol, 'int32_t', [])()
  } catch (cause) {
    throw incompatible(`it does not export ${options.abiVersionSymbol}`, cause)
  }
  if (version !== options.abiVersion) {
    throw incompatible(`it has ABI version ${version}, this package needs ${options.abiVersion}`)
  }
  return {
    path,
    func: (name, result, parameters) => bindNativeFunction(handle, path, name, result, parameters),
  }
}

/** `libx.so`, `libx.dylib` or `x.dll`. */
export function libraryFileName(name: string, platform: string = process.platform): string {
  if (platform === 'win32') return `${name}.dll`
  return `lib${name}.${platform === 'darwin' ? 'dylib' : 'so'}`
}

/**
 * Folder of the package that a module belongs to: the nearest one above with a package.json.
 * Sources and builds lie at different depths, so this is not a fixed number of levels.
 */
export function findPackageDir(start: string): string {
  for (let dir = start; ; dir = dirname(dir)) {
    if (existsSync(join(dir, 'package.json'))) return dir
    if (dirname(dir) === dir) throw new InternalError(`no package.json above ${start}`)
  }
}

interface FoundLibrary {
  readonly path: string
  readonly origin: 'override' | 'package'
}

function findLibrary(options: NativeLibraryOptions): FoundLibrary {
  const fileName = libraryFileName(options.name)
  const override = process.env[options.env]
  if (override !== undefined && override !== '') {
    // Absolute, since the loader looks for bare names in the system's folders.
    const path = resolve(override)
    if (existsSync(path)) return { path, origin: 'override' }
    throw new NativeLibraryNotFoundError(
      `${options.env} names ${path}, which does not exist. Correct or unset it.`,
    )
  }
  const local = join(options.packageDir, 'lib', fileName)
  if (existsSync(local)) return { path: local, origin: 'package' }
  try {
    const require = createRequire(join(options.packageDir, 'package.json'))
    return { path: require.resolve(`${options.platformPackage}/${fileName}`), origin: 'package' }
  } catch (cause) {
    throw new NativeLibraryNotFoundError(
      `The native library ${fileName} was not found. Tried: ${options.env} (not set), ${local}, ` +
        `${options.platformPackage}. Build it: ${options.buildCommand}`,
      { cause },
    )
  }
}
