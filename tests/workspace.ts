/** What the tests of the workspace know about it. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = resolve(fileURLToPath(new URL('..', import.meta.url)))

export interface ConditionalExport {
  readonly '@magi-attention/source': string
  readonly types: string
  readonly default: string
}

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly license: string
  readonly type: string
  readonly sideEffects: boolean
  readonly engines: { readonly node: string }
  readonly exports: Record<string, string | ConditionalExport>
  readonly files: readonly string[]
  readonly scripts: Record<string, string>
  readonly dependencies?: Record<string, string>
}

export interface WorkspacePackage {
  /** Name of the folder below `packages`. */
  readonly folder: string
  readonly path: string
  readonly manifest: Manifest
}

/** The public packages, by folder. */
export const packages: readonly WorkspacePackage[] = readdirSync(join(root, 'packages')).map(folder => {
  const path = join(root, 'packages', folder)
  return { folder, path, manifest: JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) }
})

const generated = new Set([
  'node_modules',
  'dist',
  'lib',
  'build',
  'coverage',
  '.git',
  '.turbo',
  '.results',
  '.gpu',
])

/** Every file below a folder that people write, as paths from the root with forward slashes. */
export function sourceFiles(folder = root): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.name === '.git') return [] // a file in a linked worktree
    if (entry.isDirectory()) {
      const isGenerated = generated.has(entry.name) || (entry.name === 'api' && basename(folder) === 'docs')
      return isGenerated ? [] : sourceFiles(path)
    }
    return entry.isFile() ? [relative(root, path).replaceAll('\\', '/')] : []
  })
}

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}
