import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ArgumentError, CommError, CommTimeoutError } from '@magi-attention/common'

/** Begins the lines that carry a report. */
const marker = '\u0001report '

/** A rank that runs. Of Node's own types none appears here, so that programs need not install them. */
export interface RankProcess {
  readonly pid?: number | undefined
  kill(signal?: 'SIGKILL' | 'SIGTERM' | 'SIGINT' | 'SIGSTOP' | 'SIGCONT'): boolean
}

export interface SpawnOptions {
  /** Arguments of the program. */
  readonly args?: readonly string[] | undefined
  /** Beside this process's own, and those of the rendezvous. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Ranks that are not started. Default: none. */
  readonly absent?: readonly number[] | undefined
  /** Seconds after which all ranks are killed. Default: 120. */
  readonly timeoutSeconds?: number | undefined
  /** Called for each rank as it starts. */
  readonly onStart?: ((rank: number, process: RankProcess) => void) | undefined
}

/** How a rank ended. */
export interface RankResult {
  readonly rank: number
  readonly pid: number
  /** Exit code, or null if a signal ended it. */
  readonly code: number | null
  readonly signal: string | null
  /** Without the reports. */
  readonly stdout: string
  readonly stderr: string
  /** What the program passed to `report`, in order. */
  readonly reports: readonly unknown[]
  /** Seconds from the start of all ranks to the end of this one. */
  readonly seconds: number
}

/** Hands a value, as JSON, from a rank to whoever called `spawnRanks`. */
export function report(value: unknown): void {
  writeSync(1, `${marker}${JSON.stringify(value)}\n`)
}

/** A TCP port on the loopback interface that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

/**
 * Runs a program in `worldSize` processes, as a launcher does, and waits for all of them to end. TypeScript runs through
 * tsx, on the sources of the packages.
 *
 * @param script the file to run
 * @returns how each rank ended, by rank, without those that were absent
 * @throws CommTimeoutError if a rank does not end in time; then all are killed
 */
export async function spawnRanks(
  script: string,
  worldSize: number,
  options: SpawnOptions = {},
): Promise<RankResult[]> {
  if (!Number.isSafeInteger(worldSize) || worldSize < 1) {
    throw new ArgumentError({
      argument: 'worldSize',
      expected: 'an integer of at least 1',
      actual: worldSize,
    })
  }
  const port = await freePort()
  const jobId = randomBytes(16).toString('hex')
  const ranks = Array.from({ length: worldSize }, (_, rank) => rank).filter(
    rank => !options.absent?.includes(rank),
  )
  const started = performance.now()
  const children = ranks.map(rank => {
    const child = spawn(process.execPath, [...loaderArguments(script), script, ...(options.args ?? [])], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        RANK: `${rank}`,
        WORLD_SIZE: `${worldSize}`,
        LOCAL_RANK: `${rank}`,
        MASTER_ADDR: '127.0.0.1',
        MASTER_PORT: `${port}`,
        MAGI_ATTENTION_JOB_ID: jobId,
        ...options.env,
      },
    })
    options.onStart?.(rank, child)
    return { rank, child }
  })
  const limit = options.timeoutSeconds ?? 120
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    for (const { child } of children) child.kill('SIGKILL')
  }, limit * 1000)
  try {
    const results = await Promise.all(children.map(({ rank, child }) => collect(rank, child, started)))
    if (!isLate) return results
    const late = results.filter(({ signal }) => signal === 'SIGKILL').map(({ rank }) => rank)
    const text = results.map(({ rank, stderr }) => `rank ${rank}: ${stderr}`).join('\n')
    throw new CommTimeoutError(`ranks ${late.join(', ')} did not end within ${limit} s\n${text}`, {
      operation: 'spawnRanks',
      ranks: late,
    })
  } finally {
    clearTimeout(timer)
  }
}

function loaderArguments(script: string): string[] {
  if (!script.endsWith('.ts')) return []
  const tsx = createRequire(join(process.cwd(), 'package.json')).resolve('tsx')
  return ['--conditions=@magi-attention/source', '--import', pathToFileURL(tsx).href]
}

function collect(rank: number, child: ChildProcess, started: number): Promise<RankResult> {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]!.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', cause => {
      reject(new CommError(`rank ${rank} could not be started`, { operation: 'spawnRanks', cause }))
    })
    child.on('close', (code, signal) => {
      const lines = output.stdout.split('\n')
      const reports = lines.filter(line => line.startsWith(marker))
      resolve({
        rank,
        pid: child.pid!,
        code,
        signal,
        stdout: lines.filter(line => !line.startsWith(marker)).join('\n'),
        stderr: output.stderr,
        reports: reports.map(line => JSON.parse(line.slice(marker.length)) as unknown),
        seconds: (performance.now() - started) / 1000,
      })
    })
  })
}
