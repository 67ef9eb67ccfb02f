export * from './argument-errors.js'
export * from './comm-errors.js'
export { describeValue, MagiError, type MagiErrorCode, type MagiErrorDetails } from './magi-error.js'
export * from './runtime-errors.js'
