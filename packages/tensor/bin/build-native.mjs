#!/usr/bin/env node
/**
 * Builds the native library of a magi-attention package with CMake and puts it into that package's lib/.
 *
 *   magi-build-native [package folder or package name] [-DNAME=VALUE ...]
 *
 * Without an argument: the package in the current folder. MAGI_ATTENTION_BUILD_TYPE overrides the build type, Release.
 * The package installs its libraries with `DESTINATION .`; headers of @magi-attention/tensor are found under
 * MAGI_TENSOR_INCLUDE.
 */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const usage = 'Usage: magi-build-native [package folder or package name] [-DNAME=VALUE ...]'
const tensorInclude = resolve(dirname(fileURLToPath(import.meta.url)), '../native/include')

class BuildError extends Error {}

function parseArguments(args) {
  const unknown = args.find(arg => arg.startsWith('-') && !arg.startsWith('-D'))
  if (unknown !== undefined) throw new BuildError(`Unknown option ${unknown}. ${usage}`)
  const names = args.filter(arg => !arg.startsWith('-'))
  if (names.length > 1) throw new BuildError(`Expected one package, got ${names.length}. ${usage}`)
  return { target: names[0] ?? '.', definitions: args.filter(arg => arg.startsWith('-D')) }
}

/** A folder with a package.json, or the name of a package that the current folder or this one can resolve. */
function findPackage(target) {
  const folder = resolve(target)
  if (existsSync(join(folder, 'package.json'))) return realpathSync(folder)
  for (const base of [join(process.cwd(), 'package.json'), import.meta.url]) {
    try {
      return realpathSync(dirname(createRequire(base).resolve(`${target}/package.json`)))
    } catch {}
  }
  throw new BuildError(
    `No package at ${folder} and none named "${target}" is installed. Install it first. ${usage}`,
  )
}

function runCmake(args, onFailure) {
  const result = spawnSync('cmake', args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (result.error?.code === 'ENOENT') {
    throw new BuildError(
      'cmake was not found. Install CMake 3.18 or newer (e.g. `apt-get install cmake g++`) and retry.',
    )
  }
  if (result.error) throw new BuildError(`cmake could not be started: ${result.error.message}`)
  if (result.status !== 0) throw new BuildError(onFailure)
}

/** CMake refuses a build folder that was made for another source folder, as after the package has been moved. */
function dropForeignBuild(build, source) {
  const cache = join(build, 'CMakeCache.txt')
  if (!existsSync(cache)) return
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1]?.trim()
  if (home === undefined || resolve(home) !== resolve(source)) rmSync(build, { recursive: true, force: true })
}

/** Renaming instead of overwriting: processes that have the old library mapped keep it. */
function publish(stage, lib) {
  mkdirSync(lib, { recursive: true })
  const files = readdirSync(stage).filter(name => !statSync(join(stage, name)).isDirectory())
  if (files.length === 0) throw new BuildError(`The build installed nothing into ${stage}.`)
  for (const name of files) renameSync(join(stage, name), join(lib, name))
  return files
}

function main() {
  const { target, definitions } = parseArguments(process.argv.slice(2))
  const packageDir = findPackage(target)
  const source = join(packageDir, 'native')
  const build = join(source, 'build')
  const stage = join(build, 'stage')
  if (!existsSync(join(source, 'CMakeLists.txt'))) {
    throw new BuildError(`${packageDir} has no native/CMakeLists.txt: there is nothing to build.`)
  }
  const buildType = process.env.MAGI_ATTENTION_BUILD_TYPE || 'Release'

  dropForeignBuild(build, source)
  runCmake(
    [
      '-S',
      source,
      '-B',
      build,
      `-DCMAKE_BUILD_TYPE=${buildType}`,
      `-DMAGI_TENSOR_INCLUDE=${tensorInclude}`,
      ...definitions,
    ],
    `Configuring ${source} failed. A C++17 compiler is needed (e.g. \`apt-get install g++\`; CXX names another one).`,
  )
  runCmake(
    ['--build', build, '--config', buildType, '--parallel', String(availableParallelism())],
    `Compiling ${source} failed. The compiler's messages are above.`,
  )
  rmSync(stage, { recursive: true, force: true })
  runCmake(['--install', build, '--config', buildType, '--prefix', stage], `Installing into ${stage} failed.`)
  const lib = join(packageDir, 'lib')
  for (const name of publish(stage, lib)) console.log(`Built ${join(lib, name)}`)
}

try {
  main()
} catch (error) {
  if (!(error instanceof BuildError) && error?.code !== 'EACCES' && error?.code !== 'EROFS') throw error
  console.error(`magi-build-native: ${error.message}`)
  process.exitCode = 1
}
