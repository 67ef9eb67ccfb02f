/** What went wrong, as a stable string that a handler can switch on. */
export type MagiErrorCode =
  | 'ERR_ARGUMENT'
  | 'ERR_RANGE'
  | 'ERR_INDEX'
  | 'ERR_SHAPE'
  | 'ERR_DTYPE'
  | 'ERR_DEVICE'
  | 'ERR_DISPOSED'
  | 'ERR_AUTOGRAD'
  | 'ERR_UNSUPPORTED'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_NATIVE_NOT_FOUND'
  | 'ERR_NATIVE_INCOMPATIBLE'
  | 'ERR_NATIVE_CALL'
  | 'ERR_COMM'
  | 'ERR_COMM_TIMEOUT'
  | 'ERR_COMM_PEER_LOST'
  | 'ERR_INTERNAL'

export interface MagiErrorDetails {
  /** Name of the argument at fault, as the caller wrote it: `q_ranges[3]`. */
  readonly argument?: string | undefined
  /** What would have been accepted, in words. */
  readonly expected?: string | undefined
  /** What came. Kept as given, and shown shortened in the message. */
  readonly actual?: unknown
  /** What to do about it, as a sentence. */
  readonly hint?: string | undefined
  readonly cause?: unknown
}

const marker = Symbol.for('magi-attention.error')

/**
 * Base of every error that magi-attention throws on purpose.
 * `MagiError.isInstance` also recognises errors of a second copy of this package, which `instanceof` does not.
 */
export class MagiError extends Error {
  readonly code: MagiErrorCode
  readonly argument: string | undefined
  readonly expected: string | undefined
  readonly actual: unknown
  readonly hint: string | undefined

  constructor(code: MagiErrorCode, message: string, details: MagiErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.code = code
    this.argument = details.argument
    this.expected = details.expected
    this.actual = details.actual
    this.hint = details.hint
    Object.defineProperty(this, marker, { value: true })
  }

  static isInstance(error: unknown): error is MagiError {
    return typeof error === 'object' && error !== null && marker in error
  }
}

/** `q_ranges: expected an even number of integers, got 3. Pass pairs of [start, end].` */
export function describeMismatch(details: MagiErrorDetails & { argument: string; expected: string }): string {
  const hint = details.hint ? ` ${details.hint}` : ''
  return `${details.argument}: expected ${details.expected}, got ${describeValue(details.actual)}.${hint}`
}

/** A short, one-line text of any value, for error messages. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shorten(value))
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) {
    const shown = value.slice(0, 8).map(describeValue).join(', ')
    return `[${shown}${value.length > 8 ? `, … ${value.length} items` : ''}]`
  }
  const text = String(value)
  return text === '[object Object]' ? `an object of ${value.constructor?.name ?? 'no class'}` : shorten(text)
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}…` : text
}
