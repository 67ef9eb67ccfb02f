import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { availableParallelism, constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { findProgram, nodeArguments } from './find-program.js'
import type { LaunchOptions } from './launch-options.js'

/** What ranks get between the request to end and the end. */
const graceMs = 5_000

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

interface RankEnd {
  readonly rank: number
  readonly code: number
  readonly how: string
}

/** Runs the program on all ranks of this machine. @returns the exit code @throws UsageError */
export async function launch(options: LaunchOptions): Promise<number> {
  const program = findProgram(options.script)
  const command = [...nodeArguments(program), program, ...options.args]
  const masterPort = options.masterPort ?? (await freePort())
  const jobId = process.env.MAGI_ATTENTION_JOB_ID ?? makeJobId(options)
  const ranks = Array.from({ length: options.numRanks }, (_, localRank) => {
    const rank = options.nodeRank * options.numRanks + localRank
    const env = {
      ...process.env,
      ...rankEnvironment(options, localRank, masterPort),
      MAGI_ATTENTION_JOB_ID: jobId,
    }
    const child = spawn(process.execPath, command, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    return { rank, child }
  })
  const children = ranks.map(({ child }) => child)

  let numSignals = 0
  const passOn = (signal: NodeJS.Signals) => {
    numSignals++
    end(children, numSignals > 1 ? 'SIGKILL' : signal)
  }
  for (const signal of signals) process.on(signal, passOn)
  // Nobody reads what the ranks say any more, as behind `| head`.
  const stop = () => end(children, 'SIGTERM')
  process.stdout.on('error', stop)

  let first: RankEnd | null = null
  try {
    await Promise.all(
      ranks.map(async ({ rank, child }) => {
        const ended = await follow(rank, child)
        if (ended.code === 0 || first) return
        first = ended
        // After a signal all of them end by themselves, each in its own time.
        if (numSignals > 0) return
        if (ranks.length > 1) process.stderr.write(`magirun: rank ${rank} ${ended.how}; ending the others\n`)
        end(children, 'SIGTERM')
      }),
    )
  } finally {
    for (const signal of signals) process.off(signal, passOn)
    process.stdout.off('error', stop)
  }
  return (first as RankEnd | null)?.code ?? 0
}

function rankEnvironment(
  { numRanks, numNodes, nodeRank, masterAddr }: LaunchOptions,
  localRank: number,
  masterPort: number,
): Record<string, string> {
  const threads = Math.max(1, Math.floor(availableParallelism() / numRanks))
  return {
    RANK: `${nodeRank * numRanks + localRank}`,
    LOCAL_RANK: `${localRank}`,
    WORLD_SIZE: `${numNodes * numRanks}`,
    LOCAL_WORLD_SIZE: `${numRanks}`,
    NNODES: `${numNodes}`,
    NODE_RANK: `${nodeRank}`,
    NPROC_PER_NODE: `${numRanks}`,
    MASTER_ADDR: masterAddr,
    MASTER_PORT: `${masterPort}`,
    MAGI_ATTENTION_NUM_THREADS: process.env.MAGI_ATTENTION_NUM_THREADS ?? `${threads}`,
  }
}

/** Equal on all machines of a job. */
function makeJobId({ numNodes, masterAddr, masterPort }: LaunchOptions): string {
  return numNodes === 1 ? randomBytes(16).toString('hex') : `${masterAddr}:${masterPort}`
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}

/** Hands on what a rank says, and tells how it ended. */
async function follow(rank: number, child: ChildProcess): Promise<RankEnd> {
  const closed = new Promise<RankEnd>(resolve => {
    child.on('error', error => resolve({ rank, code: 1, how: `could not be started: ${error.message}` }))
    child.on('close', (code, signal) => {
      const number = signal ? 128 + (constants.signals[signal] ?? 0) : (code ?? 1)
      resolve({ rank, code: number, how: signal ? `was ended by ${signal}` : `ended with code ${number}` })
    })
  })
  const prefix = `[rank ${rank}] `
  await Promise.all([
    prefixLines(child.stdout!, process.stdout, prefix),
    prefixLines(child.stderr!, process.stderr, prefix),
  ])
  return closed
}

/** Whole lines, so that those of several ranks do not mix. */
async function prefixLines(from: Readable, to: Writable, prefix: string): Promise<void> {
  from.setEncoding('utf8')
  let rest = ''
  for await (const text of from as AsyncIterable<string>) {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    const whole = lines.map(line => `${prefix}${line}\n`).join('')
    if (whole !== '' && to.writable && !to.write(whole))
      await Promise.race([once(to, 'drain'), once(to, 'close')])
  }
  if (rest !== '') to.write(`${prefix}${rest}\n`)
}

/** Asks all that still run to end, and makes them after a while. */
function end(children: readonly ChildProcess[], signal: NodeJS.Signals): void {
  const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
  for (const child of running) child.kill(signal)
  if (signal === 'SIGKILL' || running.length === 0) return
  const timer = setTimeout(() => end(children, 'SIGKILL'), graceMs)
  timer.unref()
}
