/** The commands behind `npm run …`. Each makes sure of what it needs, then hands over to one tool. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { checkPackages } from './check-packages.mjs'
import { ensureInstalled, withPnpm } from './install.mjs'
import { buildNative } from './native.mjs'
import { CommandError, root, runOrThrow, step, tool } from './process.mjs'

const node = process.execPath

const commands = {
  quickstart: {
    summary: 'install, build the CPU libraries and run both examples, the second on 4 ranks',
    run: async args => {
      await buildNative()
      await runOrThrow(node, source('examples/ffa-quickstart/main.ts', args))
      if (process.platform !== 'linux') return // ranks meet in shared memory, which is done for Linux alone
      console.log('')
      const magirun = join(root, 'packages/utils/bin/magirun.mjs')
      await runOrThrow(node, [magirun, '--nproc-per-node', '4', 'examples/magi-quickstart', ...args])
    },
  },
  test: {
    summary: 'run the tests; arguments go to vitest: `npm test -- packages/common`',
    run: async args => {
      await buildNative()
      mkdirSync(join(root, '.results'), { recursive: true })
      const report = ['--reporter=default', '--reporter=json', '--outputFile.json=.results/vitest.json']
      await runOrThrow(node, [tool('vitest/vitest.mjs'), 'run', ...report, ...args])
    },
  },
  build: {
    summary: 'build every package: native libraries, JavaScript and declarations',
    run: async args => {
      await buildNative()
      await runOrThrow(...withPnpm(node, [tool('turbo/bin/turbo'), 'run', 'build', ...args]))
    },
  },
  'build:native': {
    summary: 'build the native libraries alone',
    run: buildNative,
  },
  typecheck: {
    summary: 'check the types of packages, tests, examples and benchmarks',
    run: args => runOrThrow(node, [tool('typescript/bin/tsc'), '-b', ...args]),
  },
  lint: {
    summary: 'check format and style; `npm run lint -- --write` repairs what it can',
    run: args =>
      runOrThrow(node, [tool('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', ...args]),
  },
  docs: {
    summary: 'write the API reference to docs/api',
    run: async args => {
      // typedoc reads packages through the declarations of those they depend on.
      await step('Checking types', node, [tool('typescript/bin/tsc'), '-b'])
      await runOrThrow(node, [tool('typedoc/bin/typedoc'), '--logLevel', 'Warn', ...args])
    },
  },
  'check:packages': {
    summary: 'pack the built packages and try the tarballs: publint, attw, npm install, import, types',
    run: checkPackages,
  },
  bench: {
    summary: 'run the benchmarks; `npm run bench -- --help` lists them',
    run: async args => {
      await buildNative()
      await runOrThrow(node, source('benchmarks/run.ts', args))
    },
  },
}

/** Node arguments that run a TypeScript program on the sources of the packages, with no build in between. */
function source(program, args) {
  return ['--conditions=@magi-attention/source', '--import', 'tsx', program, ...args]
}

export async function main([name, ...args]) {
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined
  if (command === undefined) {
    const isHelp = name === undefined || name === '--help' || name === '-h'
    if (!isHelp) console.error(`There is no command ${JSON.stringify(name)}.`)
    console[isHelp ? 'log' : 'error'](usage())
    process.exitCode = isHelp ? 0 : 2
    return
  }
  try {
    await ensureInstalled()
    await command.run(args)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    if (error.message !== '') console.error(error.message)
    process.exitCode = error.exitCode
  }
}

function usage() {
  const width = Math.max(...Object.keys(commands).map(name => name.length))
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  return ['Usage: node scripts/run.mjs <command> [arguments]', '', ...lines].join('\n')
}
