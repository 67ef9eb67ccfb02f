import { createServer } from 'node:net'
import { freePort, type RankResult, type SpawnOptions } from '@magi-attention/comm/testing'
import { describe, expect, it, vi } from 'vitest'
import { expectSuccess, runProgram } from './helpers/run-program.js'
import { listSegments } from './helpers/segments.js'

interface Observed {
  readonly code: string
  readonly ranks: readonly number[]
  readonly message: string
}

const run = (args: readonly string[], options?: SpawnOptions) =>
  runProgram('faults', 3, { ...options, args, timeoutSeconds: 60 })

/** The errors that a rank has seen; before them, it reports which of its segments have a name. */
const errorsOf = ({ reports }: RankResult): readonly Observed[] => reports[1] as Observed[]

async function expectNoSegments(results: readonly RankResult[]): Promise<void> {
  for (const { reports } of results) expect(reports[0]).toEqual([])
  await expectNothingLeft()
}

/** Other jobs of this machine may be about to start. */
async function expectNothingLeft(): Promise<void> {
  await vi.waitFor(() => expect(listSegments()).toEqual([]), 10_000)
}

const starts = (results: readonly RankResult[]) => results.map(({ reports }) => reports[0] as Observed)

// That a rank was lost, and not that time is up, shows that nobody has waited for the deadline.
describe('a rank that fails', () => {
  it.each([
    ['kill', 'is killed'],
    ['exit', 'exits'],
    ['throw', 'throws'],
    ['leave', 'leaves'],
    ['midway', 'is killed within a transfer'],
  ])('%s: makes the others fail at once when it %s', async mode => {
    const results = await run([mode])
    for (const result of [results[0]!, results[2]!]) {
      expectSuccess([result])
      const [first, second] = errorsOf(result)
      expect(first).toMatchObject({ code: 'ERR_COMM_PEER_LOST', ranks: [1] })
      expect(first!.message).toMatch(/^all_(reduce|gather)\(.*rank 1\b/)
      expect(second).toMatchObject({ code: 'ERR_COMM_PEER_LOST', ranks: [1] })
      expect(second!.message).toMatch(/^barrier\(\): the group failed before/)
    }
    await expectNoSegments(results)
  })

  it('may be the one where the ranks have met', async () => {
    const results = await run(['kill'], { env: { CULPRIT: '0' } })
    for (const result of results.slice(1)) {
      expectSuccess([result])
      expect(errorsOf(result)[0]).toMatchObject({ code: 'ERR_COMM_PEER_LOST', ranks: [0] })
    }
    await expectNoSegments(results)
  })

  it('does not disturb groups that it does not belong to', async () => {
    const results = await run(['bystander'])
    expectSuccess([results[0]!, results[2]!])
    for (const result of [results[0]!, results[2]!]) {
      expect(errorsOf(result)).toMatchObject([{ code: 'ERR_COMM_PEER_LOST', ranks: [1] }])
    }
    await expectNoSegments(results)
  })

  it('makes the others fail at the deadline when it does not come, and fails itself', async () => {
    const results = await run(['late', '1'])
    expectSuccess(results)
    for (const result of results) {
      const [first] = errorsOf(result)
      expect(first).toMatchObject({ code: 'ERR_COMM_TIMEOUT', ranks: [1] })
      expect(first!.message).toContain('all_reduce(sum, float32 [5000000])')
    }
    await expectNoSegments(results)
  })
})

describe('calls that do not fit each other', () => {
  it('fail alike on every rank, and leave the group intact', async () => {
    const results = await run(['mismatch'])
    expectSuccess(results)
    const [first, ...others] = results.map(errorsOf)
    const expected = [
      /ranks 0, 2: all_reduce\(sum, float32 \[4\]\); rank 1: barrier\(\)/,
      /rank 1: all_reduce\(sum, float32 \[5\]\)/,
      /rank 1: all_reduce\(sum, float64 \[4\]\)/,
      /rank 1: all_reduce\(max, float32 \[4\]\)/,
      /rank 1: broadcast\(from 1, float32 \[4\]\)/,
      /rank 1: new_group\(0, 1\)/,
      /rank 0 sends 24 bytes in 2 pieces to rank 1, which expects other sizes of the pieces/,
      /from rank 0 to rank 1, piece 0 has 1 rows, while slot 0 expects 2/,
    ]
    for (const errors of [first!, ...others]) {
      expect(errors.map(({ code }) => code)).toEqual(expected.map(() => 'ERR_COMM'))
      errors.forEach(({ message }, i) => {
        expect(message).toMatch(expected[i]!)
      })
    }
    await expectNoSegments(results)
  })
})

describe('init_process_group', () => {
  it.each([1, 2])('names rank %i that never arrives, on every other rank', async absent => {
    const results = await run(['start', '1.5'], { absent: [absent] })
    expectSuccess(results)
    for (const error of starts(results)) {
      expect(error).toMatchObject({ code: 'ERR_COMM_TIMEOUT', ranks: [absent] })
      expect(error.message).toContain(`rank ${absent} of 3 did not join`)
    }
    await expectNothingLeft()
  })

  it('says so if rank 0 never arrives', async () => {
    const results = await run(['start', '1'], { absent: [0] })
    expectSuccess(results)
    for (const error of starts(results)) expect(error).toMatchObject({ code: 'ERR_COMM_TIMEOUT', ranks: [0] })
  })

  it('fails on all ranks at once if one is killed before it has joined', async () => {
    const results = await run(['start', '60'], {
      absent: [2],
      onStart: (rank, child) => {
        if (rank === 1) setTimeout(() => child.kill('SIGKILL'), 2500)
      },
    })
    expect(starts([results[0]!])[0]).toMatchObject({ code: 'ERR_COMM_PEER_LOST', ranks: [1] })
  })

  it('refuses a port that is in use', async () => {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const results = await run(['start', '1'], { env: { MASTER_PORT: `${port}` }, absent: [1, 2] })
    server.close()
    expect(starts(results)[0]).toMatchObject({ code: 'ERR_COMM' })
    expect(starts(results)[0]!.message).toContain(`127.0.0.1:${port}: the port is in use`)
  })
})

describe('two jobs side by side', () => {
  it('do not meet', async () => {
    const jobs = await Promise.all([runProgram('group-collectives', 2), runProgram('group-collectives', 2)])
    for (const results of jobs) expectSuccess(results)
  })

  it('do not meet on one port either: the second is refused', async () => {
    const port = `${await freePort()}`
    const stranger = await Promise.all([
      run(['start', '4'], { env: { MASTER_PORT: port, MAGI_ATTENTION_JOB_ID: 'one' }, absent: [1, 2] }),
      run(['start', '4'], { env: { MASTER_PORT: port, MAGI_ATTENTION_JOB_ID: 'two' }, absent: [0, 2] }),
    ])
    const [host, guest] = stranger.map(results => starts(results)[0]!)
    expect(host).toMatchObject({ code: 'ERR_COMM_TIMEOUT', ranks: [1, 2] })
    expect(guest).toMatchObject({ code: 'ERR_COMM' })
    expect(guest!.message).toContain('another job uses this address')
  })
})
