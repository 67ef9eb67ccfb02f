import { describe, it } from 'vitest'
import { expectSuccess, runProgram } from './helpers/run-program.js'

describe('collectives', () => {
  it.each([1, 2, 3, 4, 8])('give on %i ranks what each rank works out by itself', async worldSize => {
    expectSuccess(await runProgram('collectives', worldSize))
  })
})
