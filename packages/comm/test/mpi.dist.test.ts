import { describe, expect, it } from 'vitest'
import { findMpiProblem, type MpiResult, runUnderMpirun } from './helpers/mpirun.js'

const problem = findMpiProblem()
if (problem !== undefined) console.warn(`The tests of the mpi backend are skipped: ${problem}.`)

interface Observed {
  readonly code: string
  readonly ranks: readonly number[]
  readonly message: string
}

function expectSuccess({ code, stderr }: MpiResult): void {
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
}

/** The errors that a rank of the program `faults` has seen. */
const errorsOf = ({ reports }: MpiResult, rank: number) => reports[rank]![1] as readonly Observed[]

describe.skipIf(problem !== undefined)('the mpi backend', () => {
  it('runs all collectives and messages on four ranks', async () => {
    expectSuccess(await runUnderMpirun('collectives', 4))
  })

  it('runs group_cast and group_reduce on four ranks', async () => {
    expectSuccess(await runUnderMpirun('group-collectives', 4))
  })

  it('makes calls that do not fit each other fail alike on every rank, and leaves the group intact', async () => {
    const result = await runUnderMpirun('faults', 3, ['mismatch'])
    expectSuccess(result)
    for (const rank of [0, 1, 2]) {
      const errors = errorsOf(result, rank)
      expect(errors.map(({ code }) => code)).toEqual(new Array(8).fill('ERR_COMM'))
      expect(errors[0]!.message).toContain('ranks 0, 2: all_reduce(sum, float32 [4]); rank 1: barrier()')
      expect(errors[6]!.message).toContain('rank 0 sends 24 bytes in 2 pieces to rank 1')
    }
  })

  it.each(['leave', 'exit'])('%s: makes the others fail when a rank has left the job', async mode => {
    const result = await runUnderMpirun('faults', 3, [mode])
    expectSuccess(result)
    for (const rank of [0, 2]) {
      const [first, second] = errorsOf(result, rank)
      expect(first).toMatchObject({ code: 'ERR_COMM_PEER_LOST', ranks: [1] })
      expect(second!.message).toMatch(/^barrier\(\): the group failed before/)
    }
  })

  it('makes all ranks fail when one of them misses the deadline', async () => {
    const result = await runUnderMpirun('faults', 3, ['late', '1'])
    expectSuccess(result)
    for (const rank of [0, 1, 2]) {
      expect(errorsOf(result, rank)[0]).toMatchObject({ code: 'ERR_COMM_TIMEOUT', ranks: [1] })
    }
  })

  it.each(['kill', 'throw'])('%s: lets mpirun end the job when a rank ends badly', async mode => {
    const { code } = await runUnderMpirun('faults', 3, [mode, '3600'])
    expect(code).toBeGreaterThan(0)
  })

  it('refuses a job that is not the one of mpirun', async () => {
    const env = { RANK: '0', WORLD_SIZE: '2', MASTER_PORT: '12345' }
    const result = await runUnderMpirun('faults', 1, ['start'], env)
    const error = result.reports[0]![0] as Observed
    expect(error.code).toBe('ERR_COMM')
    expect(error.message).toContain('Start the program with mpirun -n 2')
  })
})
