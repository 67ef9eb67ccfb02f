import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ConditionalExport, packages, read, sourceFiles } from './workspace.js'

/** Lower packages first. A package imports from packages before it, never from one behind it. */
const layers = ['common', 'dispatch', 'tensor', 'comm', 'ffa-kernel', 'dist-attn', 'utils', 'api']

const scope = '@magi-attention/'

it('every package has its place in the layers', () => {
  expect(packages.map(({ folder }) => folder).sort()).toEqual([...layers].sort())
})

describe.each(packages)('package $folder', ({ folder, path, manifest }) => {
  const entries = Object.entries(manifest.exports).filter(
    (entry): entry is [string, ConditionalExport] => typeof entry[1] === 'object',
  )

  it('is named and described as the others', () => {
    expect(manifest.name).toBe(scope + folder)
    expect(manifest.description).toMatch(/^\S.{20,}[^.]$/)
    expect(manifest).toMatchObject({
      license: 'Apache-2.0',
      type: 'module',
      sideEffects: false,
      engines: { node: '>=20.19' },
    })
  })

  it('has a README that says how to install it', () => {
    expect(existsSync(join(path, 'README.md'))).toBe(true)
    expect(read(`packages/${folder}/README.md`)).toContain(`npm install ${manifest.name}`)
  })

  it('exports sources, types and builds of the same entries', () => {
    expect(entries.map(([entry]) => entry)).toContain('.')
    expect(manifest.exports['./package.json']).toBe('./package.json')
    for (const [entry, conditions] of entries) {
      expect(Object.keys(conditions)).toEqual(['@magi-attention/source', 'types', 'default'])
      const source = conditions['@magi-attention/source']
      expect(existsSync(join(path, source)), `${entry} -> ${source}`).toBe(true)
      expect(conditions.types).toBe(source.replace('./src/', './dist/').replace(/\.ts$/, '.d.ts'))
      expect(conditions.default).toBe(source.replace('./src/', './dist/').replace(/\.ts$/, '.js'))
      expect(manifest.scripts.build).toContain(source.slice(2))
    }
  })

  it('ships builds, sources and texts, and no tests', () => {
    const shipped = [
      'dist',
      '!dist/*.tsbuildinfo',
      'src',
      '!src/**/*.test.ts',
      'README.md',
      'CHANGELOG.md',
      'LICENSE',
    ]
    expect(manifest.files).toEqual(expect.arrayContaining(shipped))
  })

  it('imports downwards only, and what it declares', () => {
    const below = layers.slice(0, layers.indexOf(folder)).map(name => scope + name)
    for (const file of sourceFiles(join(path, 'src'))) {
      const isTest = file.endsWith('.test.ts')
      for (const name of importedPackages(read(file))) {
        if (name.startsWith(scope)) expect(below, `${file} imports ${name}`).toContain(name)
        if (!isTest)
          expect(Object.keys(manifest.dependencies ?? {}), `${file} imports ${name}`).toContain(name)
      }
    }
  })
})

/** Names of the packages, not of Node's modules and not of files, that a source imports. */
function importedPackages(source: string): string[] {
  const specifiers = [...source.matchAll(/^\s*(?:import|export)\b[^'"]*?from\s*['"]([^'"]+)['"]/gm)]
  const names = specifiers.map(([, specifier]) => specifier!).filter(name => !/^(\.|node:)/.test(name))
  return names.map(name => name.split('/', name.startsWith('@') ? 2 : 1).join('/'))
}
