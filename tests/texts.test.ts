import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { packages, read, root } from './workspace.js'

const conditions = ['@magi-attention/source']
const texts = ['README.md', 'docs/masks.md', ...packages.map(({ folder }) => `packages/${folder}/README.md`)]

/** Programs among the code blocks: those that import something. Others are fragments. */
const programs = texts.flatMap(file => {
  const blocks = [...read(file).matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code!)
  return blocks.filter(code => /^import /m.test(code)).map((code, index) => ({ file, index, code }))
})

/** A project of a user, outside of the workspace, with the packages linked into its node_modules. */
const project = mkdtempSync(join(tmpdir(), 'magi-readme-'))
mkdirSync(join(project, 'node_modules/@magi-attention'), { recursive: true })
for (const { path, manifest } of packages) symlinkSync(path, join(project, 'node_modules', manifest.name))
writeFileSync(join(project, 'package.json'), '{ "type": "module" }')

afterAll(() => {
  rmSync(project, { recursive: true })
})

function fileName({ file, index }: { file: string; index: number }): string {
  return `${file.replaceAll(/\W/g, '-')}-${index}.ts`
}

describe('the programs in the texts', () => {
  it('are there', () => {
    expect(new Set(programs.map(({ file }) => file))).toEqual(new Set(texts))
  })

  it.each(programs)('$file, $index: runs without a complaint', program => {
    writeFileSync(join(project, fileName(program)), program.code)
    const tsx = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href
    const args = [`--conditions=${conditions[0]}`, '--import', tsx, fileName(program)]
    const { stderr, status } = spawnSync(process.execPath, args, { cwd: project, encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })

  it('have no type errors', () => {
    const types = join(root, 'node_modules/@types')
    const compilerOptions = {
      target: 'ES2023',
      module: 'NodeNext',
      lib: ['ES2023', 'DOM', 'ESNext.Disposable'],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      customConditions: conditions,
      typeRoots: [types],
      types: ['node'],
    }
    for (const program of programs) writeFileSync(join(project, fileName(program)), program.code)
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: programs.map(fileName) }),
    )
    const args = [join(root, 'node_modules/typescript/bin/tsc'), '-p', project]
    expect(spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout).toBe('')
  })
})
