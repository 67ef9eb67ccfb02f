/** Finds what a build of the CUDA library left behind. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from '../workspace.js'

/** Where CMake built the library: as `npm run build:native` does, unless the environment names another folder. */
const build = process.env.MAGI_ATTENTION_CUDA_BUILD ?? join(root, 'packages/ffa-kernel/native/build')
const targets = join(build, 'CMakeFiles')

/** Object files of kernels whose compiler reports were kept, as paths. Empty if the library was not built here. */
export function kernelObjects(): string[] {
  if (!existsSync(targets)) return []
  const files = readdirSync(targets, { recursive: true, encoding: 'utf8' })
  return files
    .filter(file => /^magi_ffa_\w+\.dir.*\.cu\.o$/.test(file) && files.includes(`${file}.log`))
    .map(file => join(targets, file))
}

export function compilerReport(object: string): string {
  return readFileSync(`${object}.log`, 'utf8')
}

/** `cuobjdump`, from the environment variable MAGI_ATTENTION_CUOBJDUMP, the path, or beside nvcc; undefined if there is none. */
export function findCuobjdump(): string | undefined {
  const besideNvcc = (process.env.PATH ?? '')
    .split(':')
    .map(folder => join(folder, 'nvcc'))
    .filter(existsSync)
  const candidates = [
    process.env.MAGI_ATTENTION_CUOBJDUMP,
    'cuobjdump',
    ...besideNvcc.map(nvcc => join(dirname(nvcc), 'cuobjdump')),
  ]
  return candidates.find(command => command && spawnSync(command, ['--version']).status === 0)
}

/** The machine code of an object file, as text. */
export function disassemble(cuobjdump: string, object: string): string {
  const { stdout, stderr, status } = spawnSync(cuobjdump, ['-sass', object], {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  })
  if (status !== 0) throw new Error(`${cuobjdump} -sass ${object}: ${stderr}`)
  return stdout
}
