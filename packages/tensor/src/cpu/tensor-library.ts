import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findPackageDir, loadNativeLibrary } from '../native/load-native-library.js'

const abiVersion = 1

function bindTensorLibrary() {
  const library = loadNativeLibrary({
    name: 'magi_tensor_cpu',
    env: 'MAGI_ATTENTION_TENSOR_CPU_LIB',
    packageDir: findPackageDir(dirname(fileURLToPath(import.meta.url))),
    platformPackage: `@magi-attention/tensor-${process.platform}-${process.arch}`,
    abiVersion,
    abiVersionSymbol: 'magi_tensor_abi_version',
    buildCommand: '`npm run build` in the repository, or `npx magi-build-native @magi-attention/tensor`',
  })
  const tail = ['i32', 'ptr', 'i32'] as const // num_threads, message, message_size
  return {
    defaultNumThreads: library.func('magi_tensor_default_num_threads', 'i32', []),
    isa: library.func('magi_tensor_isa', 'string', []),
    fill: library.func('magi_tensor_fill', 'i32', ['ptr', 'i64', 'i32', 'f64', ...tail]),
    arange: library.func('magi_tensor_arange', 'i32', ['ptr', 'i64', 'i32', 'f64', 'f64', ...tail]),
    randn: library.func('magi_tensor_randn', 'i32', ['ptr', 'i64', 'i32', 'u64', 'u64', ...tail]),
    randUniform: library.func('magi_tensor_rand_uniform', 'i32', [
      ...(['ptr', 'i64', 'i32', 'u64', 'u64', 'f64', 'f64'] as const),
      ...tail,
    ]),
    cast: library.func('magi_tensor_cast', 'i32', ['ptr', 'i32', 'ptr', 'i32', 'i64', ...tail]),
    binary: library.func('magi_tensor_binary', 'i32', [
      ...(['i32', 'ptr', 'ptr', 'ptr', 'i32', 'i32', 'ptr', 'ptr', 'ptr'] as const),
      ...tail,
    ]),
    scale: library.func('magi_tensor_scale', 'i32', ['ptr', 'ptr', 'i64', 'i32', 'f64', 'f64', ...tail]),
    sum: library.func('magi_tensor_sum', 'i32', ['ptr', 'ptr', 'i32', 'i64', 'i64', 'i64', 'f64', ...tail]),
    copyRows: library.func('magi_tensor_copy_rows', 'i32', [
      ...(['ptr', 'i64', 'ptr', 'i64', 'i64', 'i64', 'i32'] as const),
      ...tail,
    ]),
    indexSelect: library.func('magi_tensor_index_select', 'i32', [
      ...(['ptr', 'ptr', 'ptr', 'i64', 'i64', 'i64', 'i64', 'i32'] as const),
      ...tail,
    ]),
    indexAdd: library.func('magi_tensor_index_add', 'i32', [
      ...(['ptr', 'ptr', 'ptr', 'i32', 'i64', 'i64', 'i64', 'i64'] as const),
      ...tail,
    ]),
    matmul: library.func('magi_tensor_matmul', 'i32', [
      ...(['ptr', 'ptr', 'ptr', 'i32', 'i64', 'i64', 'i64', 'i32', 'i32'] as const),
      ...tail,
    ]),
  }
}

let bound: ReturnType<typeof bindTensorLibrary> | undefined

/** The functions of libmagi_tensor_cpu (tensor.h), loaded at first use. */
export function tensorLibrary(): ReturnType<typeof bindTensorLibrary> {
  bound ??= bindTensorLibrary()
  return bound
}
