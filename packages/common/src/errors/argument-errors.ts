import { describeMismatch, MagiError, type MagiErrorCode, type MagiErrorDetails } from './magi-error.js'

/** What every argument error tells: which argument, what was expected, what came. */
export interface ArgumentErrorDetails extends MagiErrorDetails {
  readonly argument: string
  readonly expected: string
}

/** An argument has a value that cannot be used. Base of the more precise argument errors below. */
export class ArgumentError extends MagiError {
  constructor(details: ArgumentErrorDetails, code: MagiErrorCode = 'ERR_ARGUMENT') {
    super(code, describeMismatch(details), details)
  }
}

/** A range whose start lies behind its end, or that leaves the sequence. */
export class InvalidRangeError extends ArgumentError {
  constructor(details: ArgumentErrorDetails) {
    super(details, 'ERR_RANGE')
  }
}

/** An index outside of its container. */
export class IndexError extends ArgumentError {
  constructor(details: ArgumentErrorDetails) {
    super(details, 'ERR_INDEX')
  }
}

/** A tensor of the wrong rank or shape. */
export class ShapeError extends ArgumentError {
  constructor(details: ArgumentErrorDetails) {
    super(details, 'ERR_SHAPE')
  }
}

/** A tensor of the wrong element type. */
export class DTypeError extends ArgumentError {
  constructor(details: ArgumentErrorDetails) {
    super(details, 'ERR_DTYPE')
  }
}

/** A tensor on the wrong device, or a device that this machine does not have. */
export class DeviceError extends ArgumentError {
  constructor(details: ArgumentErrorDetails) {
    super(details, 'ERR_DEVICE')
  }
}

/** A tensor that was disposed before its use. */
export class DisposedError extends ArgumentError {
  constructor(details: ArgumentErrorDetails) {
    super(details, 'ERR_DISPOSED')
  }
}

/** A request that is well formed but that this build, backend or machine does not do. */
export class UnsupportedError extends ArgumentError {
  constructor(details: ArgumentErrorDetails) {
    super(details, 'ERR_UNSUPPORTED')
  }
}
