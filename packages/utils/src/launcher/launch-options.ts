/** What the command line asks for. */
export interface LaunchOptions {
  /** Ranks on this machine. */
  readonly numRanks: number
  readonly numNodes: number
  /** Number of this machine. */
  readonly nodeRank: number
  readonly masterAddr: string
  /** null: a free one. */
  readonly masterPort: number | null
  /** A file, or a folder with a program. */
  readonly script: string
  /** Arguments of the program. */
  readonly args: readonly string[]
}

/** A command line that makes no sense. */
export class UsageError extends Error {}

export const usage = `Usage: magirun [options] script [arguments of the script]

Starts a program as several ranks on this machine, and ends all of them when one fails. Each rank finds
RANK, LOCAL_RANK, WORLD_SIZE, NNODES, NPROC_PER_NODE, MASTER_ADDR and MASTER_PORT in its environment.

Options:
  --nproc-per-node N   ranks on this machine (default 1)
  --nnodes N           machines (default 1); run magirun on each of them with the same script
  --node-rank N        number of this machine, from 0 (default 0)
  --master-addr HOST   machine of rank 0 (default 127.0.0.1; needed for several machines)
  --master-port PORT   port on which rank 0 listens (default: a free one; needed for several machines)
  --standalone         one machine and a free port, which is the default
  --help               print this text

The script is a .js, .mjs or .ts file (TypeScript runs through tsx, which must be installed), or a folder:
then its package.json says "main", or it has an index or main file.
Lines of a rank are prefixed with it. MAGI_ATTENTION_NUM_THREADS is set to this rank's share of the cores
unless it is set already. The exit code is that of the first rank that fails, 128 + n if signal n ended it.

Examples:
  magirun --nproc-per-node 4 train.ts --steps 100
  magirun --nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 29500 --nproc-per-node 8 train.js
`

const numbers = {
  '--nproc-per-node': { min: 1, max: 1024 },
  '--nnodes': { min: 1, max: 65_536 },
  '--node-rank': { min: 0, max: 65_535 },
  '--master-port': { min: 1, max: 65_535 },
} as const

/** @returns the options, or null if help is asked for @throws UsageError */
export function parseLaunchOptions(args: readonly string[]): LaunchOptions | null {
  const values = new Map<string, number>()
  let masterAddr: string | undefined
  let isStandalone = false
  let next = 0
  while (next < args.length && args[next]!.startsWith('-')) {
    const [word, inline] = splitAtEquals(args[next++]!)
    // torchrun takes both spellings.
    const name = word.replaceAll('_', '-')
    if (name === '--help' || name === '-h') return null
    if (name === '--standalone') {
      isStandalone = true
      continue
    }
    if (name !== '--master-addr' && !Object.hasOwn(numbers, name)) throw new UsageError(`what is ${word}?`)
    const value = inline ?? args[next++]
    if (value === undefined || value === '') throw new UsageError(`${word} needs a value`)
    if (name === '--master-addr') masterAddr = value
    else values.set(name, parseNumber(name as keyof typeof numbers, value))
  }
  const script = args[next]
  if (script === undefined) throw new UsageError('which script?')
  const numNodes = values.get('--nnodes') ?? 1
  const nodeRank = values.get('--node-rank') ?? 0
  const masterPort = values.get('--master-port') ?? null
  if (nodeRank >= numNodes) throw new UsageError(`--node-rank ${nodeRank} needs --nnodes above ${nodeRank}`)
  if (numNodes > 1 && (masterAddr === undefined || masterPort === null)) {
    throw new UsageError('several machines need --master-addr and --master-port, the same on all of them')
  }
  if (isStandalone && numNodes > 1) throw new UsageError('--standalone is for one machine')
  return {
    numRanks: values.get('--nproc-per-node') ?? 1,
    numNodes,
    nodeRank,
    masterAddr: masterAddr ?? '127.0.0.1',
    masterPort,
    script,
    args: args.slice(next + 1),
  }
}

function splitAtEquals(arg: string): [name: string, value: string | undefined] {
  const at = arg.indexOf('=')
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)]
}

function parseNumber(name: keyof typeof numbers, text: string): number {
  const { min, max } = numbers[name]
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`${name} needs an integer from ${min} to ${max}, got ${JSON.stringify(text)}`)
}
