import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** Why programs cannot run under mpirun here, if they cannot. */
export function findMpiProblem(): string | undefined {
  const { stdout } = spawnSync('mpirun', ['--version'], { encoding: 'utf8' })
  if (!stdout?.includes('Open MPI')) return "there is no Open MPI's mpirun"
  const library = new URL('../../lib/libmagi_comm_mpi.so', import.meta.url)
  if (!existsSync(library)) return 'libmagi_comm_mpi was not built, as where there is no libopenmpi-dev'
  return undefined
}

export interface MpiResult {
  /** Of mpirun. */
  readonly code: number | null
  /** What each rank passed to `report`. */
  readonly reports: readonly (readonly unknown[])[]
  readonly stderr: string
}

/** Begins what `report` writes. */
const marker = '\u0001report '

const environment = {
  TEST_BACKEND: 'mpi',
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  // Containers come without ssh, and may not read each other's memory.
  OMPI_MCA_plm: 'isolated',
  OMPI_MCA_btl_vader_single_copy_mechanism: 'none',
}

/** Runs one of `test/programs` under mpirun; kills it after a minute and a half. */
export function runUnderMpirun(
  name: string,
  worldSize: number,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<MpiResult> {
  const script = fileURLToPath(new URL(`../programs/${name}.ts`, import.meta.url))
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const launcher = ['-n', `${worldSize}`, '--oversubscribe', '--tag-output']
  const program = [process.execPath, '--conditions=@magi-attention/source', '--import', tsx, script, ...args]
  const child = spawn('mpirun', [...launcher, ...program], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment, ...env },
    timeout: 90_000,
    killSignal: 'SIGKILL',
  })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => {
      const reports: unknown[][] = Array.from({ length: worldSize }, () => [])
      for (const line of output.stdout.split('\n')) {
        const [tag, json] = line.split(marker)
        const rank = /^\[\d+,(\d+)\]<stdout>:$/.exec(tag!)?.[1]
        if (rank !== undefined && json !== undefined) reports[Number(rank)]!.push(JSON.parse(json))
      }
      resolve({ code, reports, stderr: output.stderr })
    })
  })
}
