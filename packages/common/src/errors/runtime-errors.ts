import { MagiError, type MagiErrorDetails } from './magi-error.js'

/** Misuse of the tape: backward twice, backward from a tensor without history, a wrong gradient. */
export class AutogradError extends MagiError {
  constructor(message: string, details?: MagiErrorDetails) {
    super('ERR_AUTOGRAD', message, details)
  }
}

/** Memory for a tensor or a workspace could not be had. The process stays usable. */
export class OutOfMemoryError extends MagiError {
  constructor(message: string, details?: MagiErrorDetails) {
    super('ERR_OUT_OF_MEMORY', message, details)
  }
}

/** No native library was found. The message lists what was tried and the command that builds one. */
export class NativeLibraryNotFoundError extends MagiError {
  constructor(message: string, details?: MagiErrorDetails) {
    super('ERR_NATIVE_NOT_FOUND', message, details)
  }
}

/** A native library was found but cannot be used: truncated, of another platform, or of another ABI version. */
export class NativeLibraryIncompatibleError extends MagiError {
  constructor(message: string, details?: MagiErrorDetails) {
    super('ERR_NATIVE_INCOMPATIBLE', message, details)
  }
}

/** A native function refused its input or failed. */
export class NativeCallError extends MagiError {
  constructor(message: string, details?: MagiErrorDetails) {
    super('ERR_NATIVE_CALL', message, details)
  }
}

/** A broken invariant of ours. Please report it. */
export class InternalError extends MagiError {
  constructor(message: string, details?: MagiErrorDetails) {
    super('ERR_INTERNAL', `${message} (this is a bug in magi-attention: please report it)`, details)
  }
}
