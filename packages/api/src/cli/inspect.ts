import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { MagiError } from '@magi-attention/common'
import { get_num_threads } from '@magi-attention/tensor'
import { type CudaReport, inspectCuda } from '@magi-attention/tensor/internal'
import { findSystemLibrary, loadNativeLibrary } from '@magi-attention/tensor/native'
import { formatBytes } from '@magi-attention/utils'

const require = createRequire(import.meta.url)

/** Where a native library comes from and what it chose, or why it cannot be used. */
export interface LibraryReport {
  readonly name: string
  readonly path: string | null
  /** Instruction set in use; of the attention library for GPUs the kernels that it has; null for others. */
  readonly isa: string | null
  readonly problem: string | null
}

export interface Report {
  /** Versions by package name. */
  readonly packages: Readonly<Record<string, string>>
  readonly node: string
  /** Platform, architecture, kernel release and, on Linux, the C library. */
  readonly system: string
  readonly cpu: { readonly model: string; readonly cores: number }
  readonly memoryBytes: number
  /** Threads that CPU operations use; null when the library is missing. */
  readonly threads: number | null
  readonly libraries: readonly LibraryReport[]
  /** Driver, GPUs and cuBLAS. */
  readonly cuda: CudaReport
  /** Libraries of the system that are used where they are found: their name, or null. */
  readonly systemLibraries: Readonly<Record<string, string | null>>
  /** Devices that tensors can lie on. */
  readonly backends: readonly string[]
  /** The MAGI_ATTENTION_ variables that are set. */
  readonly environment: Readonly<Record<string, string>>
}

const packageNames = ['api', 'utils', 'dist-attn', 'ffa-kernel', 'comm', 'dispatch', 'tensor', 'common'].map(
  name => `@magi-attention/${name}`,
)

interface LibraryEntry {
  readonly name: string
  /** Folder of the package. */
  readonly package: string
  /** What its functions begin with. */
  readonly prefix: string
  readonly abiVersion: number
  /** Whether it tells its instruction set or kernels. */
  readonly hasIsa?: boolean
  /** The package that ships it, up to platform and architecture, if that is not `package`. */
  readonly platformPackage?: string
}

/** Libraries that are built everywhere, and those that need a compiler or a library that a machine may lack. */
const libraries: readonly LibraryEntry[] = [
  { name: 'magi_tensor_cpu', package: 'tensor', prefix: 'magi_tensor', abiVersion: 1, hasIsa: true },
  { name: 'magi_ffa_cpu', package: 'ffa-kernel', prefix: 'magi_ffa', abiVersion: 2, hasIsa: true },
  { name: 'magi_comm_shm', package: 'comm', prefix: 'magi_comm', abiVersion: 1 },
  {
    name: 'magi_tensor_cuda',
    package: 'tensor',
    prefix: 'magi_cuda',
    abiVersion: 1,
    platformPackage: 'tensor-cuda',
  },
  {
    name: 'magi_ffa_cuda',
    package: 'ffa-kernel',
    prefix: 'magi_ffa',
    abiVersion: 2,
    hasIsa: true,
    platformPackage: 'ffa-kernel-cuda',
  },
  { name: 'magi_comm_mpi', package: 'comm', prefix: 'magi_comm', abiVersion: 1 },
]

const systemLibraries: Readonly<Record<string, readonly string[]>> = {
  nccl: ['libnccl.so.2', 'libnccl.so'],
  mpi: ['libmpi.so.40', 'libmpi.so.12', 'libmpi.so'],
}

/** Looks at this machine and at what is installed. A missing library is reported, not thrown. */
export function inspect(): Report {
  const cuda = inspectCuda()
  return {
    packages: Object.fromEntries(packageNames.map(name => [name, readManifest(name).version])),
    node: process.version,
    system: [process.platform, process.arch, release(), cLibrary()].filter(Boolean).join(' '),
    cpu: { model: cpus()[0]?.model.trim() ?? 'unknown', cores: availableParallelism() },
    memoryBytes: totalmem(),
    threads: attempt(get_num_threads).value,
    libraries: libraries.map(inspectLibrary),
    cuda,
    systemLibraries: Object.fromEntries(
      Object.entries(systemLibraries).map(([name, names]) => [name, findSystemLibrary(names)]),
    ),
    backends: ['cpu', ...cuda.devices.flatMap(({ is_usable }, index) => (is_usable ? `cuda:${index}` : []))],
    environment: Object.fromEntries(
      Object.entries(process.env)
        .filter((entry): entry is [string, string] => entry[0].startsWith('MAGI_ATTENTION_'))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
  }
}

/** The report as lines for people. */
export function formatReport(report: Report): string {
  const lines = [
    ...Object.entries(report.packages),
    ['node', report.node],
    ['system', report.system],
    ['cpu', `${report.cpu.model}, ${report.cpu.cores} usable cores`],
    ['memory', formatBytes(report.memoryBytes)],
    ['threads', report.threads ?? 'unknown'],
    ...report.libraries.map(({ name, path, isa, problem }) => [
      name,
      problem ?? [isa ?? [], path].flat().join(', '),
    ]),
    ...describeCuda(report.cuda),
    ...Object.entries(report.systemLibraries).map(([name, found]) => [name, found ?? 'not found']),
    ['backends', report.backends.join(', ')],
    ...Object.entries(report.environment),
  ]
  const width = Math.max(...lines.map(([name]) => String(name).length))
  return lines.map(([name, value]) => `${String(name).padEnd(width)}  ${value}`).join('\n')
}

function describeCuda({ problem, driver, runtime, devices, cublas }: CudaReport): string[][] {
  return [
    ['cuda', [problem ?? [], `driver ${driver ?? 'none'}`, `runtime ${runtime ?? 'none'}`].flat().join(', ')],
    ...devices.map(({ name, total_memory, major, minor, multi_processor_count, is_usable }, index) => {
      const size = `${formatBytes(total_memory)}, ${multi_processor_count} multiprocessors`
      const capability = `capability ${major}.${minor}${is_usable ? '' : ', cannot be used'}`
      return [`cuda:${index}`, `${name}, ${size}, ${capability}`]
    }),
    ['cublas', cublas.problem ?? `${cublas.version}, ${cublas.path}`],
  ]
}

function inspectLibrary(library: LibraryEntry): LibraryReport {
  const { name, prefix, abiVersion, hasIsa = false, platformPackage = library.package } = library
  const packageName = `@magi-attention/${library.package}`
  const { value, problem } = attempt(() => {
    const loaded = loadNativeLibrary({
      name,
      env: `${name.replace('magi_', 'MAGI_ATTENTION_').toUpperCase()}_LIB`,
      packageDir: dirname(require.resolve(`${packageName}/package.json`)),
      platformPackage: `@magi-attention/${platformPackage}-${process.platform}-${process.arch}`,
      abiVersion,
      abiVersionSymbol: `${prefix}_abi_version`,
      buildCommand: `npx magi-build-native ${packageName}`,
    })
    return { path: loaded.path, isa: hasIsa ? loaded.func(`${prefix}_isa`, 'string', [])() : null }
  })
  return { name, path: value?.path ?? null, isa: value?.isa ?? null, problem }
}

function attempt<T>(body: () => T): { value: T | null; problem: string | null } {
  try {
    return { value: body(), problem: null }
  } catch (error) {
    if (!MagiError.isInstance(error)) throw error
    return { value: null, problem: error.message }
  }
}

function readManifest(name: string): { version: string } {
  return JSON.parse(readFileSync(require.resolve(`${name}/package.json`), 'utf8'))
}

function cLibrary(): string | undefined {
  if (process.platform !== 'linux') return undefined
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  const glibc = report.header?.glibcVersionRuntime
  return glibc === undefined ? 'musl' : `glibc ${glibc}`
}
