import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { MagiError } from '@magi-attention/common'
import { get_num_threads } from '@magi-attention/tensor'
import { loadNativeLibrary } from '@magi-attention/tensor/native'
import { formatBytes } from '@magi-attention/utils'

const require = createRequire(import.meta.url)

/** Where a native library comes from and what it chose, or why it cannot be used. */
export interface LibraryReport {
  readonly name: string
  readonly path: string | null
  /** Instruction set in use; null where there is none to choose. */
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
  /** The MAGI_ATTENTION_ variables that are set. */
  readonly environment: Readonly<Record<string, string>>
}

const packageNames = ['api', 'utils', 'dist-attn', 'ffa-kernel', 'comm', 'dispatch', 'tensor', 'common'].map(
  name => `@magi-attention/${name}`,
)

const libraries = [
  { name: 'magi_tensor_cpu', package: '@magi-attention/tensor', prefix: 'magi_tensor', env: 'TENSOR_CPU' },
  { name: 'magi_ffa_cpu', package: '@magi-attention/ffa-kernel', prefix: 'magi_ffa', env: 'FFA_CPU' },
  { name: 'magi_comm_shm', package: '@magi-attention/comm', prefix: 'magi_comm', env: 'COMM_SHM' },
] as const

/** Libraries that choose an instruction set. */
const withIsa: ReadonlySet<string> = new Set(['magi_tensor', 'magi_ffa'])

/** Looks at this machine and at what is installed. A missing library is reported, not thrown. */
export function inspect(): Report {
  return {
    packages: Object.fromEntries(packageNames.map(name => [name, readManifest(name).version])),
    node: process.version,
    system: [process.platform, process.arch, release(), cLibrary()].filter(Boolean).join(' '),
    cpu: { model: cpus()[0]?.model.trim() ?? 'unknown', cores: availableParallelism() },
    memoryBytes: totalmem(),
    threads: attempt(get_num_threads).value,
    libraries: libraries.map(inspectLibrary),
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
    ...Object.entries(report.environment),
  ]
  const width = Math.max(...lines.map(([name]) => String(name).length))
  return lines.map(([name, value]) => `${String(name).padEnd(width)}  ${value}`).join('\n')
}

function inspectLibrary(library: (typeof libraries)[number]): LibraryReport {
  const { value, problem } = attempt(() => {
    const loaded = loadNativeLibrary({
      name: library.name,
      env: `MAGI_ATTENTION_${library.env}_LIB`,
      packageDir: dirname(require.resolve(`${library.package}/package.json`)),
      platformPackage: `${library.package}-${process.platform}-${process.arch}`,
      abiVersion: 1,
      abiVersionSymbol: `${library.prefix}_abi_version`,
      buildCommand: `npx magi-build-native ${library.package}`,
    })
    const isa = withIsa.has(library.prefix) ? loaded.func(`${library.prefix}_isa`, 'string', [])() : null
    return { path: loaded.path, isa }
  })
  return { name: library.name, path: value?.path ?? null, isa: value?.isa ?? null, problem }
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
