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
import {
  BackwardArgsStruct,
  ForwardArgsStruct,
  PlanArgsStruct,
  PlanStruct,
  TileSizesStruct,
} from './structs.js'

/** MAGI_FFA_ABI_VERSION of ffa.h. */
const ABI_VERSION = 2

/** What the tile sizes of a call depend on. */
export interface TileSizesRequest {
  readonly headDim: number
  readonly dtypeCode: number
  /** Query heads of a key/value head. */
  readonly groupSize: number
  /** CUDA device ordinal; 0 on the CPU. */
  readonly device: number
  /** MagiFfaKernel of ffa.h; 0 on the CPU. */
  readonly kernel: number
}

export interface TileSizes {
  readonly forwardRows: number
  readonly forwardCols: number
  readonly backwardRows: number
  readonly backwardCols: number
  /** Forward plans need their column tiles on a grid; backward plans always do. */
  readonly forwardAlignCols: boolean
  /** The kernel that the sizes are for: what 0 stands for. */
  readonly kernel: number
}

/** The functions of a library behind ffa.h. Argument structs are packed by the caller. */
export interface FfaLibrary {
  /** The file that was loaded. */
  readonly path: string
  /** Instruction set in use: `avx512-bf16`, `avx512`, `avx2` or `portable`; the kernels of the CUDA library. */
  readonly isa: string
  /** Tile sizes to plan with. Asked once for each request. */
  tileSizes(request: TileSizesRequest): TileSizes
  /**
   * @param held what owns the memory that `args` has addresses of
   * @returns the status; the message is in `messageBuffer`
   */
  forward(args: Uint8Array, held: object): number
  /** Likewise. */
  backward(args: Uint8Array, held: object): number
}

/** The CUDA library also plans slices that lie on the device. */
export interface CudaFfaLibrary extends FfaLibrary {
  /** Bytes of workspace for the plan of these PlanArgsStruct bytes. @throws ArgumentError */
  planWorkspaceSize(args: Uint8Array): number
  /** Enqueues the planning, and fills the bytes of a PlanStruct. @returns the status */
  plan(args: Uint8Array, plan: Uint8Array): number
}

let cpuLibrary: FfaLibrary | undefined
let cudaLibrary: CudaFfaLibrary | undefined

/** The CPU library, loaded at first use. @throws NativeLibraryNotFoundError, NativeLibraryIncompatibleError */
export function loadCpuLibrary(): FfaLibrary {
  cpuLibrary ??= bindLibrary(load('magi_ffa_cpu', 'MAGI_ATTENTION_FFA_CPU_LIB', 'ffa-kernel', ''))
  return cpuLibrary
}

/**
 * The CUDA library, loaded at first use. It loads on a machine without a GPU, too.
 *
 * @throws NativeLibraryNotFoundError, NativeLibraryIncompatibleError
 */
export function loadCudaLibrary(): CudaFfaLibrary {
  cudaLibrary ??= bindCudaLibrary(
    load('magi_ffa_cuda', 'MAGI_ATTENTION_FFA_CUDA_LIB', 'ffa-kernel-cuda', 'MAGI_ATTENTION_CUDA=1 '),
  )
  return cudaLibrary
}

function load(name: string, env: string, platformName: string, buildSettings: string): NativeLibrary {
  return loadNativeLibrary({
    name,
    env,
    packageDir: findPackageDir(dirname(fileURLToPath(import.meta.url))),
    platformPackage: `@magi-attention/${platformName}-${process.platform}-${process.arch}`,
    abiVersion: ABI_VERSION,
    abiVersionSymbol: 'magi_ffa_abi_version',
    buildCommand: `${buildSettings}npx magi-build-native @magi-attention/ffa-kernel`,
  })
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

function bindCudaLibrary(library: NativeLibrary): CudaFfaLibrary {
  const common = bindLibrary(library)
  PlanArgsStruct.assertSize('MagiFfaPlanArgs', sizeInLibrary(library, 'plan_args'), library.path)
  const sizeName = 'magi_ffa_plan_workspace_size'
  const askSize = library.func(sizeName, 'i32', ['ptr', 'ptr', 'ptr', 'i32'])
  const plan = library.func('magi_ffa_plan', 'i32', ['ptr', 'ptr', 'ptr', 'i32'])
  const size = new BigInt64Array(1)
  return {
    ...common,
    planWorkspaceSize(args) {
      checkStatus(askSize(args, size, messageBuffer, messageBuffer.byteLength), messageBuffer, sizeName)
      return Number(size[0])
    },
    plan: (args, target) => plan(args, target, messageBuffer, messageBuffer.byteLength),
  }
}

function sizeInLibrary(library: NativeLibrary, struct: string): number {
  return library.func(`magi_ffa_sizeof_${struct}`, 'i64', [])()
}

/** An address does not keep memory alive, and the engine may collect an object after its last use, during a call even. */
const inUse: { memory: object | null } = { memory: null }

function bindRun(library: NativeLibrary, name: string): FfaLibrary['forward'] {
  const run: NativeFunction<['ptr', 'ptr', 'i32'], 'i32'> = library.func(name, 'i32', ['ptr', 'ptr', 'i32'])
  return (args, held) => {
    inUse.memory = held
    const status = run(args, messageBuffer, messageBuffer.byteLength)
    inUse.memory = null
    return status
  }
}

function bindTileSizes(library: NativeLibrary): FfaLibrary['tileSizes'] {
  const name = 'magi_ffa_tile_sizes'
  const ask = library.func(name, 'i32', ['i32', 'i32', 'i32', 'i32', 'i32', 'ptr', 'ptr', 'i32'])
  const known = new Map<number, TileSizes>()
  return ({ headDim, dtypeCode, groupSize, device, kernel }) => {
    // Digits of a mixed radix: dtype codes below 16, head_dim below 512, kernels below 128, group sizes to 2^16.
    const key = (((device * 128 + kernel) * 512 + headDim) * 16 + dtypeCode) * 2 ** 17 + groupSize
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
    const { byteLength } = messageBuffer
    const status = ask(headDim, dtypeCode, groupSize, device, kernel, bytes, messageBuffer, byteLength)
    checkStatus(status, messageBuffer, name)
    const answer = TileSizesStruct.unpack(bytes)
    const sizes = {
      forwardRows: answer.forward_rows,
      forwardCols: answer.forward_cols,
      backwardRows: answer.backward_rows,
      backwardCols: answer.backward_cols,
      forwardAlignCols: answer.forward_align_cols === 1,
      kernel: answer.kernel,
    }
    known.set(key, sizes)
    return sizes
  }
}
