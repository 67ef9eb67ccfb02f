import { describe, it } from 'vitest'
import { runProgram } from './helpers/run-program.js'

describe('dispatch, undispatch and roll', () => {
  it.each([1, 2, 3, 8])('do what the whole sequence says, on %i ranks', worldSize =>
    runProgram('movement', worldSize),
  )
})

describe('keys', () => {
  it.each([1, 2, 4])('are values, are remembered, and refuse bad input on all of %i ranks', worldSize =>
    runProgram('keys', worldSize),
  )
})

describe('a rank that leaves', () => {
  it('makes calc_attn fail on the others, and nothing else', () => runProgram('faults', 3))
})
