import { createHash } from 'node:crypto'
import { ArgumentError } from '@magi-attention/common'

/** Who this process is and where its job meets. */
export interface Rendezvous {
  readonly rank: number
  readonly worldSize: number
  /** Index among the ranks of this machine. */
  readonly localRank: number
  readonly masterAddr: string
  readonly masterPort: number
  /** Equal on all ranks of a job, and different from that of other jobs where the launcher says so. */
  readonly token: string
}

/** Variables by name, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

/** How each launcher names what we need. The first that sets both rank and world size counts. */
const launchers = [
  { rank: 'RANK', worldSize: 'WORLD_SIZE', localRank: 'LOCAL_RANK' },
  {
    rank: 'OMPI_COMM_WORLD_RANK',
    worldSize: 'OMPI_COMM_WORLD_SIZE',
    localRank: 'OMPI_COMM_WORLD_LOCAL_RANK',
  },
  { rank: 'SLURM_PROCID', worldSize: 'SLURM_NTASKS', localRank: 'SLURM_LOCALID' },
] as const

/** What tells one job from another, whoever started it. */
const jobVariables = [
  'MAGI_ATTENTION_JOB_ID',
  'TORCHELASTIC_RUN_ID',
  'PMIX_NAMESPACE',
  'OMPI_MCA_ess_base_jobid',
  'SLURM_JOB_ID',
  'SLURM_STEP_ID',
]

/**
 * Reads the variables of torchrun (and magirun), OpenMPI's mpirun or Slurm's srun. With none of them: one rank.
 * @throws ArgumentError for a value that is no integer or out of range, or for a rank without a world size
 */
export function readRendezvous(env: Environment = process.env): Rendezvous {
  const launcher = launchers.find(({ rank, worldSize }) => env[rank] && env[worldSize])
  if (!launcher) {
    assertNoLoneRank(env)
    return { rank: 0, worldSize: 1, localRank: 0, masterAddr: '127.0.0.1', masterPort: 0, token: '' }
  }
  const worldSize = readInteger(env, launcher.worldSize, 1, 2 ** 31 - 1)
  const rank = readInteger(env, launcher.rank, 0, worldSize - 1)
  const localRank = env[launcher.localRank] ? readInteger(env, launcher.localRank, 0, worldSize - 1) : rank
  const ids = jobVariables.map(name => env[name] ?? '').join('/')
  return {
    rank,
    worldSize,
    localRank,
    masterAddr: env.MASTER_ADDR || '127.0.0.1',
    masterPort: readPort(env, ids),
    token: createHash('sha256')
      .update(`${ids}/${env.TORCHELASTIC_RESTART_COUNT ?? ''}`)
      .digest('hex'),
  }
}

/** RANK without WORLD_SIZE would silently run as one rank of one. */
function assertNoLoneRank(env: Environment): void {
  const [{ rank, worldSize }] = launchers
  if (!env[rank] && !(Number(env[worldSize]) > 1)) return
  const [given, missing] = env[rank] ? [rank, worldSize] : [worldSize, rank]
  throw new ArgumentError({
    argument: missing,
    expected: `an environment variable to go with ${given}`,
    actual: env[missing],
    hint: 'Start the program with magirun, torchrun, mpirun or srun, or set all of RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.',
  })
}

function readPort(env: Environment, jobIds: string): number {
  if (!env.MASTER_PORT) {
    // mpirun and srun choose no port: one that depends on the job, below those that systems give to clients.
    const digest = createHash('sha256').update(jobIds).digest()
    return 10_000 + (digest.readUInt32LE(0) % 20_000)
  }
  const port = readInteger(env, 'MASTER_PORT', 1, 65_535)
  // torchrun listens on the port itself then, and hands out its store there.
  if (env.TORCHELASTIC_USE_AGENT_STORE !== 'True') return port
  return port < 65_535 ? port + 1 : port - 1
}

function readInteger(env: Environment, name: string, low: number, high: number): number {
  const text = env[name] ?? ''
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= low && value <= high) return value
  throw new ArgumentError({
    argument: name,
    expected: `an environment variable with an integer from ${low} to ${high}`,
    actual: text,
  })
}
