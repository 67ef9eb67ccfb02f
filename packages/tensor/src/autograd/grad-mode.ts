import { ArgumentError } from '@magi-attention/common'

let enabled = true

/** Whether operations are recorded for backward. */
export function is_grad_enabled(): boolean {
  return enabled
}

/**
 * Runs `body` without recording: its results do not require gradients.
 * @throws ArgumentError if `body` returns a promise, since what runs after an `await` would be recorded again
 */
export function no_grad<T>(body: () => T): T {
  const before = enabled
  enabled = false
  try {
    const result = body()
    assertSynchronous('no_grad', result)
    return result
  } finally {
    enabled = before
  }
}

/** @throws ArgumentError for a promise */
export function assertSynchronous(functionName: string, result: unknown, hint?: string): void {
  if (typeof result !== 'object' || result === null || !('then' in result)) return
  // The promise is dropped here: its own failure must not end the process on top.
  Promise.resolve(result).catch(() => undefined)
  throw new ArgumentError({
    argument: functionName,
    expected: 'a synchronous function',
    actual: 'a function that returned a promise',
    hint,
  })
}
