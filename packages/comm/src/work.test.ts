import { ArgumentError, CommError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { GeneralWork, WorkWithPostProcessFn } from './work.js'

function countingWork() {
  const work = { waits: 0, wait: () => void work.waits++ }
  return work
}

describe('GeneralWork', () => {
  it('waits for work, and not for null', () => {
    const work = countingWork()
    new GeneralWork(work).wait()
    new GeneralWork(null).wait()
    new GeneralWork().wait()
    expect(work.waits).toBe(1)
  })

  it('refuses what cannot be waited for', () => {
    for (const work of [3, 'work', {}]) {
      expect(() => new GeneralWork(work as never).wait()).toThrow(ArgumentError)
    }
  })
})

describe('WorkWithPostProcessFn', () => {
  it('waits at once unless it is asynchronous', () => {
    const [sync, async] = [countingWork(), countingWork()]
    new WorkWithPostProcessFn(new GeneralWork(sync), () => 0)
    new WorkWithPostProcessFn(new GeneralWork(async), () => 0, true)
    expect([sync.waits, async.waits]).toEqual([1, 0])
  })

  it('waits, then makes the result of the arguments', () => {
    const work = countingWork()
    const waited = new WorkWithPostProcessFn(
      new GeneralWork(work),
      (a: number, b: number) => [a * b, work.waits],
      true,
    )
    expect(waited.wait_post_process(6, 7)).toEqual([42, 1])
  })

  it('refuses a second call', () => {
    const work = new WorkWithPostProcessFn(null, () => 'result')
    expect(work.wait_post_process()).toBe('result')
    expect(() => work.wait_post_process()).toThrow(CommError)
  })
})
