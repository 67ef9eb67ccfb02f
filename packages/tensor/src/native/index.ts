export { findSystemLibrary } from './find-system-library.js'
export {
  findPackageDir,
  libraryFileName,
  loadNativeLibrary,
  type NativeLibrary,
  type NativeLibraryOptions,
} from './load-native-library.js'
export type { MemberType } from './member.js'
export type { NativeFunction, Pointer, ResultType } from './native-function.js'
export { checkStatus, messageBuffer, NativeStatus } from './status.js'
export { defineStruct, type Struct, type StructOptions, type StructValues } from './struct.js'
