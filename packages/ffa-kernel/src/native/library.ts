import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  checkStatus,
  findPackageDir,
  loadNativeLibrary,
  messageBuffer,
  type NativeFunction,
  type NativeLibrary,
} from '@magi-attention/tensor/native'
import { BackwardArgsStruct, ForwardArgsStruct, PlanStruct, TileSizesStruct } from './structs.js'

/** MAGI_FFA_ABI_VERSION of ffa.h. */
const ABI_VERSION = 2

export interface TileSizes {
  readonly forwardRows: number
  readonly forwardCols: number
  readonly backwardRows: number
  readonly backwardCols: number
  /** Forward plans need their column tiles on a grid; backward plans always do. */
  readonly forwardAlignCols: boolean
}

/** The functions of a library behind ffa.h. Argument structs are packed by the caller. */
export interface FfaLibrary {
  /** The file that was loaded. */
  readonly path: string
  /** Instruction set in use: `avx512-bf16`, `avx512`, `avx2` or `portable`. */
  readonly isa: string
  /** Tile sizes to plan with. Asked once for each head_dim and dtype code. */
  tileSizes(headDim: number, dtypeCode: number): TileSizes
  /** @param held what owns the memory that `args` has addresses of */
  forward(args: Uint8Array, held: readonly object[]): void
  /** @param held what owns the memory that `args` has addresses of */
  backward(args: Uint8Array, held: readonly object[]): void
}

let cpuLibrary: FfaLibrary | undefined

/** The CPU library, loaded at first use. @throws NativeLibraryNotFoundError, NativeLibraryIncompatibleError */
export function loadCpuLibrary(): FfaLibrary {
  cpuLibrary ??= bindLibrary(
    loadNativeLibrary({
      name: 'magi_ffa_cpu',
      env: 'MAGI_ATTENTION_FFA_CPU_LIB',
      packageDir: findPackageDir(dirname(fileURLToPath(import.meta.url))),
      platformPackage: `@magi-attention/ffa-kernel-${process.platform}-${process.arch}`,
      abiVersion: ABI_VERSION,
      abiVersionSymbol: 'magi_ffa_abi_version',
      buildCommand: 'npx magi-build-native @magi-attention/ffa-kernel',
    }),
  )
  return cpuLibrary
}

function bindLibrary(library: NativeLibrary): FfaLibrary {
  PlanStruct.assertSize('MagiFfaPlan', sizeInLibrary(library, 'plan'), library.path)
  ForwardArgsStruct.assertSize('MagiFfaForwardArgs', sizeInLibrary(library, 'forward_args'), library.path)
  BackwardArgsStruct.assertSize('MagiFfaBackwardArgs', sizeInLibrary(library, 'backward_args'), library.path)
  TileSizesStruct.assertSize('MagiFfaTileSizes', sizeInLibrary(library, 'tile_sizes'), library.path)
  return {
    path: library.path,
    isa: library.func('magi_ffa_isa', 'string', [])(),
    tileSizes: bindTileSizes(library),
    forward: bindRun(library, 'magi_ffa_forward'),
    backward: bindRun(library, 'magi_ffa_backward'),
  }
}

function sizeInLibrary(library: NativeLibrary, struct: string): number {
  return library.func(`magi_ffa_sizeof_${struct}`, 'i64', [])()
}

/** An address does not keep memory alive, and the engine may collect an object after its last use, during a call even. */
const inUse: { memory: readonly object[] } = { memory: [] }

function bindRun(library: NativeLibrary, name: string): FfaLibrary['forward'] {
  const run: NativeFunction<['ptr', 'ptr', 'i32'], 'i32'> = library.func(name, 'i32', ['ptr', 'ptr', 'i32'])
  return (args, held) => {
    inUse.memory = held
    const status = run(args, messageBuffer, messageBuffer.byteLength)
    inUse.memory = []
    checkStatus(status, messageBuffer, name)
  }
}

function bindTileSizes(library: NativeLibrary): FfaLibrary['tileSizes'] {
  const name = 'magi_ffa_tile_sizes'
  const ask = library.func(name, 'i32', ['i32', 'i32', 'i32', 'i32', 'i32', 'ptr', 'ptr', 'i32'])
  const known = new Map<number, TileSizes>()
  return (headDim, dtypeCode) => {
    const key = headDim * 16 + dtypeCode
    const found = known.get(key)
    if (found !== undefined) return found
    const bytes = TileSizesStruct.pack({
      forward_rows: 0,
      forward_cols: 0,
      backward_rows: 0,
      backward_cols: 0,
      forward_align_cols: 0,
      kernel: 0,
    })
    const status = ask(headDim, dtypeCode, 1, 0, 0, bytes, messageBuffer, messageBuffer.byteLength)
    checkStatus(status, messageBuffer, name)
    const answer = TileSizesStruct.unpack(bytes)
    const sizes = {
      forwardRows: answer.forward_rows,
      forwardCols: answer.forward_cols,
      backwardRows: answer.backward_rows,
      backwardCols: answer.backward_cols,
      forwardAlignCols: answer.forward_align_cols === 1,
    }
    known.set(key, sizes)
    return sizes
  }
}
