import { expect, it } from 'vitest'
import { describeOnGpu, isEmulated } from './gpu.js'
import { runProgram } from './run-program.js'

/** An invalid access ends the GPU's context, so it happens in a process of its own. */
function runBroken(env: Record<string, string>): { code: string; message: string } {
  const { stdout, status } = runProgram('broken-operation.ts', env)
  expect(status).toBe(0)
  return JSON.parse(stdout)
}

// In the emulator an invalid access ends the process.
describeOnGpu('an error while an operation runs', () => {
  it.skipIf(isEmulated)(
    'surfaces when the result is needed at the latest, with the operations in question',
    () => {
      const { code, message } = runBroken({ MAGI_ATTENTION_CUDA_SYNC: '' })
      expect(code).toBe('ERR_DEVICE')
      expect(message).toMatch(/illegal memory access/)
      expect(message).toMatch(/since the last synchronisation, the latest last: .*index_select/)
      expect(message).not.toMatch(/randn/)
    },
  )

  it.skipIf(isEmulated)('surfaces at once with MAGI_ATTENTION_CUDA_SYNC=1, and names the operation', () => {
    const { message } = runBroken({ MAGI_ATTENTION_CUDA_SYNC: '1' })
    expect(message).toMatch(/The operation at fault is index_select,/)
  })
})
