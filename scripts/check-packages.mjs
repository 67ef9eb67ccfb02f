/**
 * Packs every public package as it would be published and uses the tarballs as a stranger would: publint and
 * attw look at them, then they are installed with npm in an empty folder, imported, required and type-checked.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { withPnpm, workspacePackages } from './install.mjs'
import { step, tool } from './process.mjs'

const node = process.execPath

export async function checkPackages() {
  const folder = mkdtempSync(join(tmpdir(), 'magi-packages-'))
  try {
    const tarballs = join(folder, 'tarballs')
    const pack = ['--filter', './packages/*', 'pack', '--pack-destination', tarballs]
    await step('Packing the packages', ...withPnpm('pnpm', pack))
    const files = readdirSync(tarballs).map(name => join(tarballs, name))
    for (const file of files) await lint(file)
    await useInstalled(join(folder, 'project'), files)
    console.log(`${files.length} packages pack, install, load and type-check.`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function lint(tarball) {
  const name = basename(tarball)
  await step(`Linting ${name} with publint`, node, [tool('publint/src/cli.js'), '--strict', tarball])
  const attw = tool('@arethetypeswrong/cli/dist/index.js')
  await step(`Checking the types of ${name} with attw`, node, [
    attw,
    tarball,
    '--profile',
    'esm-only',
    '--no-emoji',
  ])
}

/** The entries are loaded from dist: the packages were built before. */
async function useInstalled(project, tarballs) {
  mkdirSync(project)
  const entries = publicEntries()
  const write = (name, text) => writeFileSync(join(project, name), text)
  write('package.json', JSON.stringify({ name: 'a-project', private: true, type: 'module' }))
  write('load.mjs', entries.map(entry => `await import('${entry}')`).join('\n'))
  write('load.cjs', entries.map(entry => `require('${entry}')`).join('\n'))
  write('attention.mjs', attentionProgram)
  write('types.ts', entries.map((entry, index) => `export * as entry${index} from '${entry}'`).join('\n'))
  write('tsconfig.json', JSON.stringify({ compilerOptions: strictConsumer, files: ['types.ts'] }))

  const inProject = { cwd: project }
  const install = ['install', '--no-audit', '--no-fund', ...tarballs]
  await step('Installing the tarballs with npm', 'npm', install, {
    ...inProject,
    shell: process.platform === 'win32',
  })
  await step('Importing every entry', node, ['load.mjs'], inProject)
  await step('Requiring every entry', node, ['load.cjs'], inProject)
  await step('Checking the published types', node, [tool('typescript/bin/tsc'), '-p', '.'], inProject)
  await buildAndRun(inProject)
}

/** The libraries from the sources in the tarballs, without optimisation since they only have to work. */
async function buildAndRun(inProject) {
  const scripts = join(inProject.cwd, 'node_modules/@magi-attention')
  const env = { ...process.env, MAGI_ATTENTION_BUILD_TYPE: 'Debug' }
  for (const name of ['@magi-attention/tensor', '@magi-attention/ffa-kernel']) {
    const args = [join(scripts, 'tensor/bin/build-native.mjs'), name]
    await step(`Building the native library of the packed ${name}`, node, args, { ...inProject, env })
  }
  await step('Running attention on the packed packages', node, ['attention.mjs'], inProject)
  await step('Running magi inspect', node, [join(scripts, 'api/bin/magi.mjs'), 'inspect'], inProject)
}

const attentionProgram = `
import { flex_flash_attn_func, randn } from '@magi-attention/api'
const q = randn(64, 4, 32, { requires_grad: true })
const k = randn(64, 2, 32)
const v = randn(64, 2, 32)
const ranges = [[0, 64]]
const [out] = flex_flash_attn_func({ q, k, v, q_ranges: ranges, k_ranges: ranges, attn_type_map: 'causal' })
out.sum().backward()
if (q.grad === null || out.tolist().flat(2).some(Number.isNaN)) throw new Error('attention does not work')
`

/** What a strict user may have: no Node types, and no skipping of our declarations. */
const strictConsumer = {
  target: 'ES2023',
  module: 'NodeNext',
  strict: true,
  noEmit: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  types: [],
}

/** `@magi-attention/tensor/native` and its like: every entry of every public package. */
function publicEntries() {
  return workspacePackages()
    .filter(manifest => manifest.private !== true)
    .flatMap(manifest => Object.keys(manifest.exports).map(path => manifest.name + path.slice(1)))
    .filter(entry => !entry.endsWith('.json'))
}
