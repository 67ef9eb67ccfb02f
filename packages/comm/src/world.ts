import { ArgumentError, CommError, IndexError } from '@magi-attention/common'
import { assertInteger } from '@magi-attention/tensor/internal'
import type { BackendName, Job } from './backend/backend.js'
import { ExchangePlan } from './backend/exchange-plan.js'
import { findBackend } from './backend/find-backend.js'
import { assertOptions, assertSeconds } from './check.js'
import { type Rendezvous, readRendezvous } from './environment.js'
import { gatherIntegers } from './gather-integers.js'
import { ProcessGroup } from './process-group.js'

/** Ten minutes. */
const defaultTimeoutSeconds = 600

export interface InitProcessGroupOptions {
  /** `'shm'`: the ranks of one machine. `'mpi'`: those that mpirun has started. Default: `'shm'`, also under mpirun. */
  readonly backend?: BackendName | undefined
  /** Seconds after which the start (with `shm`), and later any operation, fails. Default: 600. */
  readonly timeout?: number | undefined
  /** Default: the launcher's variables, else 0. */
  readonly rank?: number | undefined
  /** Default: the launcher's variables, else 1. */
  readonly world_size?: number | undefined
  /** Where rank 0 listens, with `shm`. Default: MASTER_ADDR, else 127.0.0.1. */
  readonly master_addr?: string | undefined
  /** Default: MASTER_PORT, else one that depends on the launcher's job id. */
  readonly master_port?: number | undefined
  /**
   * Bytes of shared memory of one rank in one group, a multiple of 64 KiB; rank 0's counts. Larger tensors stream
   * through it. No effect with `mpi`. Default: MAGI_ATTENTION_SHM_BUFFER_BYTES, else 2 MiB, less where /dev/shm is small.
   */
  readonly shm_buffer_bytes?: number | undefined
}

interface World {
  readonly job: Job
  readonly rendezvous: Rendezvous
  readonly backend: BackendName
  readonly group: ProcessGroup
  readonly groups: Set<ProcessGroup>
}

let world: World | null = null

/**
 * Joins the job that the launcher's variables describe (torchrun's, magirun's, mpirun's or srun's), and waits until all
 * of its ranks have. Without a launcher: a job of one rank, which uses neither network nor shared memory.
 *
 * @returns the group of all ranks, which is the default of every operation
 * @throws CommTimeoutError naming the ranks that did not come, PeerLostError, CommError (port in use, another job's port,
 *   called twice), UnsupportedError (another backend, ranks on several machines), ArgumentError, OutOfMemoryError
 */
export function init_process_group(options: InitProcessGroupOptions = {}): ProcessGroup {
  const operation = 'init_process_group'
  assertOptions('options', options, optionNames)
  if (world) throw new CommError(`${operation}: the process group exists already`, { operation })
  const backend = findBackend(options.backend ?? 'shm')
  const timeout = assertSeconds('timeout', options.timeout ?? defaultTimeoutSeconds)
  const rendezvous = resolveRendezvous(options)
  const bufferBytes = parseBufferBytes(options.shm_buffer_bytes)
  const job = backend.join(rendezvous, { timeoutSeconds: timeout, bufferBytes })
  try {
    const group = openWorld(job, rendezvous, timeout)
    world = { job, rendezvous, backend: backend.name, group, groups: new Set() }
    // Background work must not outlive the memory that it writes to.
    process.once('exit', destroyAtExit)
    return group
  } catch (error) {
    job.close()
    throw error
  }
}

const optionNames = [
  'backend',
  'timeout',
  'rank',
  'world_size',
  'master_addr',
  'master_port',
  'shm_buffer_bytes',
] as const satisfies readonly (keyof InitProcessGroupOptions)[]

function resolveRendezvous(options: InitProcessGroupOptions): Rendezvous {
  const isExplicit = options.rank !== undefined && options.world_size !== undefined
  const read = isExplicit
    ? { ...readRendezvous({}), masterPort: Number(process.env.MASTER_PORT ?? 0) }
    : readRendezvous()
  const worldSize = assertInteger('world_size', options.world_size ?? read.worldSize, 1)
  const rank = assertInteger('rank', options.rank ?? read.rank, 0)
  if (rank >= worldSize) {
    throw new IndexError({
      argument: 'rank',
      expected: `a rank below the world size ${worldSize}`,
      actual: rank,
    })
  }
  const masterAddr: unknown = options.master_addr ?? process.env.MASTER_ADDR ?? read.masterAddr
  if (typeof masterAddr !== 'string' || masterAddr === '') {
    throw new ArgumentError({
      argument: 'master_addr',
      expected: 'a host name or address',
      actual: masterAddr,
    })
  }
  const masterPort = assertInteger('master_port', options.master_port ?? read.masterPort, 0)
  if (masterPort > 65_535 || (masterPort === 0 && worldSize > 1)) {
    throw new ArgumentError({
      argument: 'master_port',
      expected: 'a port from 1 to 65535',
      actual: masterPort,
      hint: 'Set MASTER_PORT to the same free port on all ranks.',
    })
  }
  return { ...read, rank, worldSize, masterAddr, masterPort, localRank: isExplicit ? rank : read.localRank }
}

function parseBufferBytes(option: number | undefined): number {
  const variable = process.env.MAGI_ATTENTION_SHM_BUFFER_BYTES
  const value = option ?? (variable ? Number(variable) : 0)
  if (Number.isSafeInteger(value) && value >= 0 && value % 65_536 === 0 && value <= 2 ** 30) return value
  throw new ArgumentError({
    argument: option === undefined ? 'MAGI_ATTENTION_SHM_BUFFER_BYTES' : 'shm_buffer_bytes',
    expected: 'a multiple of 65536 up to 1 GiB',
    actual: value,
  })
}

/** The first group cannot ask the ranks whether memory could be had, since it is what they ask through. */
function openWorld(job: Job, { rank, worldSize }: Rendezvous, timeout: number): ProcessGroup {
  const ranks = Array.from({ length: worldSize }, (_, i) => i)
  const reservation = job.reserve(ranks)
  return new ProcessGroup(ranks, rank, timeout, job.open(reservation, ranks))
}

function currentWorld(operation: string): World {
  if (world) return world
  throw new CommError(`${operation}: there is no process group yet. Call init_process_group first.`, {
    operation,
  })
}

/** Whether `init_process_group` was called, and not undone. */
export function is_initialized(): boolean {
  return world !== null
}

/** The given group, or else that of all ranks. @internal */
export function resolveGroup(operation: string, group: ProcessGroup | null | undefined): ProcessGroup {
  if (group === null || group === undefined) return currentWorld(operation).group
  if (!(group instanceof ProcessGroup)) {
    throw new ArgumentError({ argument: 'group', expected: 'a ProcessGroup', actual: group })
  }
  return group
}

/** This process's rank in a group. Default: in the job. */
export function get_rank(group?: ProcessGroup | null): number {
  return resolveGroup('get_rank', group).rank()
}

/** Number of ranks of a group. Default: of the job. */
export function get_world_size(group?: ProcessGroup | null): number {
  return resolveGroup('get_world_size', group).size()
}

/** This process's index among the ranks of this machine. */
export function get_local_rank(): number {
  return currentWorld('get_local_rank').rendezvous.localRank
}

/** Name of the backend in use. */
export function get_backend(): BackendName {
  return currentWorld('get_backend').backend
}

/** The rank in the job of a member of a group. */
export function get_global_rank(group: ProcessGroup, group_rank: number): number {
  const members = resolveGroup('get_global_rank', group).ranks
  const rank = members[assertInteger('group_rank', group_rank, 0)]
  if (rank !== undefined) return rank
  throw new IndexError({
    argument: 'group_rank',
    expected: `a rank below the group's size ${members.length}`,
    actual: group_rank,
  })
}

/** The place among a group's members of a rank of the job. */
export function get_group_rank(group: ProcessGroup, global_rank: number): number {
  return findMember('global_rank', resolveGroup('get_group_rank', group), global_rank)
}

/** @internal */
export function findMember(argument: string, group: ProcessGroup, rank: unknown): number {
  const member = group.ranks.indexOf(assertInteger(argument, rank, 0))
  if (member >= 0) return member
  const expected = `a rank of the group, one of ${group.ranks.join(', ')}`
  throw new IndexError({ argument, expected, actual: rank })
}

/**
 * Makes a group of some ranks. Every rank of the job must call this with the same ranks, members or not.
 *
 * @param ranks ranks of the job, in any order. Default: all
 * @param options `timeout` in seconds. Default: that of the job
 * @returns the group, or null on ranks that are no members
 * @throws CommError on every rank if their ranks differ, OutOfMemoryError if shared memory is short
 */
export function new_group(
  ranks?: readonly number[] | null,
  options: { readonly timeout?: number | undefined } = {},
): ProcessGroup | null {
  const { job, group: all, groups } = currentWorld('new_group')
  assertOptions('options', options, ['timeout'])
  const timeout = assertSeconds('timeout', options.timeout ?? all.timeout)
  const members = parseRanks(ranks ?? all.ranks, all)
  const call = `new_group(${members.join(', ')})`
  all._run({ call, steps: [new ExchangePlan()], borrowed: [], written: [], async_op: false })
  let reservation = 0n
  let failure: unknown
  try {
    reservation = job.reserve(members)
  } catch (error) {
    failure = error
  }
  const failures = gatherIntegers(all, call, [failure === undefined ? 0 : 1])
  const failed = failures.findIndex(([status]) => status !== 0)
  if (failure !== undefined) throw failure
  if (failed >= 0) {
    throw new CommError(`${call}: rank ${failed} could not allocate the shared memory of the group`, {
      operation: call,
      ranks: [failed],
    })
  }
  if (!members.includes(all.rank())) return null
  const group = new ProcessGroup(members, all.rank(), timeout, job.open(reservation, members))
  groups.add(group)
  return group
}

function parseRanks(ranks: unknown, all: ProcessGroup): number[] {
  if (!Array.isArray(ranks) || ranks.length === 0) {
    throw new ArgumentError({ argument: 'ranks', expected: 'a list of at least one rank', actual: ranks })
  }
  ranks.forEach((rank, i) => {
    findMember(`ranks[${i}]`, all, rank)
  })
  const sorted = [...(ranks as number[])].sort((a, b) => a - b)
  if (new Set(sorted).size === sorted.length) return sorted
  throw new ArgumentError({ argument: 'ranks', expected: 'each rank once', actual: ranks })
}

/**
 * Destroys a group, or, without one, all of them, and leaves the job. Operations under way fail; other ranks that still
 * wait for this one get a PeerLostError. Without a job: no effect.
 */
export function destroy_process_group(group?: ProcessGroup | null): void {
  if (group !== undefined && group !== null && group !== world?.group) {
    resolveGroup('destroy_process_group', group)._destroy()
    world?.groups.delete(group)
    return
  }
  if (!world) return
  const { job, group: all, groups } = world
  world = null
  process.off('exit', destroyAtExit)
  for (const member of [...groups, all]) member._destroy()
  job.close()
}

function destroyAtExit(): void {
  destroy_process_group()
}
