import { existsSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { UsageError } from './launch-options.js'

const entries = ['index', 'main'].flatMap(name =>
  ['.ts', '.mts', '.js', '.mjs'].map(extension => name + extension),
)

/** The file to run: the script itself, or the program of a folder. @throws UsageError */
export function findProgram(script: string): string {
  const path = resolve(script)
  if (!existsSync(path)) throw new UsageError(`there is no ${script}`)
  if (!statSync(path).isDirectory()) return path
  const manifest = join(path, 'package.json')
  const main: unknown = existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')).main : undefined
  const candidates = typeof main === 'string' ? [main] : entries
  const found = candidates.map(name => join(path, name)).find(file => existsSync(file))
  if (found !== undefined) return found
  throw new UsageError(`the folder ${script} has no program: none of ${candidates.join(', ')}`)
}

/** Arguments of Node before the program. @throws UsageError for TypeScript without tsx */
export function nodeArguments(program: string): string[] {
  const isTypeScript = /\.[mc]?ts$/.test(program)
  if (!isTypeScript) return []
  const bases = [program, join(process.cwd(), 'package.json'), fileURLToPath(import.meta.url)]
  const tsx = bases.map(resolveTsx).find(path => path !== null)
  if (!tsx)
    throw new UsageError('TypeScript needs tsx. Install it with `npm install tsx`, or pass a .js file')
  // In the repository packages need not be built: their sources run.
  const workspace = join(dirname(fileURLToPath(import.meta.url)), '../../../../pnpm-workspace.yaml')
  const conditions = existsSync(workspace) ? ['--conditions=@magi-attention/source'] : []
  return [...conditions, '--import', pathToFileURL(tsx).href]
}

function resolveTsx(base: string): string | null {
  try {
    return createRequire(base).resolve('tsx')
  } catch {
    return null
  }
}
