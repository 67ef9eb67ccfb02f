import { ArgumentError, NativeCallError, OutOfMemoryError, UnsupportedError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { checkStatus } from './status.js'

const message = new Uint8Array(32)
message.set(new TextEncoder().encode('count is negative'))

describe('checkStatus', () => {
  it.each([
    [1, ArgumentError],
    [2, OutOfMemoryError],
    [3, UnsupportedError],
    [4, NativeCallError],
    [-7, NativeCallError],
  ])('status %i', (status, errorClass) => {
    const call = () => checkStatus(status, message, 'magi_tensor_fill')
    expect(call).toThrow(errorClass)
    expect(call).toThrow(/magi_tensor_fill.*count is negative/)
  })

  it('0 is success, and a message without an end is cut', () => {
    expect(() => checkStatus(0, message, 'f')).not.toThrow()
    expect(() => checkStatus(4, new Uint8Array(4).fill(65), 'f')).toThrow('AAAA')
    expect(() => checkStatus(4, new Uint8Array(4), 'f')).toThrow('no message')
  })
})
