import { ArgumentError } from '@magi-attention/common'
import { afterEach, describe, expect, it } from 'vitest'
import { chosenKernel } from './kernel-choice.js'

const variable = 'MAGI_ATTENTION_FFA_KERNEL'

describe('chosenKernel', () => {
  afterEach(() => {
    delete process.env[variable]
  })

  it('is left to the library unless the variable names one', () => {
    for (const [value, code] of Object.entries({ '': 0, auto: 0, sm80: 80, sm90: 90 })) {
      process.env[variable] = value
      expect(chosenKernel()).toBe(code)
    }
    delete process.env[variable]
    expect(chosenKernel()).toBe(0)
  })

  it('refuses other values, and names the variable', () => {
    for (const value of ['sm70', '90', 'SM80', 'constructor']) {
      process.env[variable] = value
      expect(chosenKernel).toThrow(ArgumentError)
      expect(chosenKernel).toThrow(variable)
    }
  })
})
