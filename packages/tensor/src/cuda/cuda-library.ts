import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findPackageDir, loadNativeLibrary } from '../native/load-native-library.js'
import { defineStruct } from '../native/struct.js'

const abiVersion = 1

export const VersionsStruct = defineStruct([
  ['struct_size', 'i64'],
  ['device_count', 'i32'],
  ['driver', 'i32'],
  ['runtime', 'i32'],
  ['reserved', 'i32'],
])

export const DeviceStruct = defineStruct([
  ['struct_size', 'i64'],
  ['memory_bytes', 'i64'],
  ['l2_bytes', 'i64'],
  ['capability_major', 'i32'],
  ['capability_minor', 'i32'],
  ['num_multiprocessors', 'i32'],
  ['has_memory_pools', 'i32'],
])

export const MemoryStruct = defineStruct([
  ['struct_size', 'i64'],
  ['free_bytes', 'i64'],
  ['total_bytes', 'i64'],
  ['reserved_bytes', 'i64'],
  ['used_bytes', 'i64'],
])

function bindCudaLibrary() {
  const library = loadNativeLibrary({
    name: 'magi_tensor_cuda',
    env: 'MAGI_ATTENTION_TENSOR_CUDA_LIB',
    packageDir: findPackageDir(dirname(fileURLToPath(import.meta.url))),
    platformPackage: `@magi-attention/tensor-cuda-${process.platform}-${process.arch}`,
    abiVersion,
    abiVersionSymbol: 'magi_cuda_abi_version',
    buildCommand: '`npm run build` in the repository, where nvcc is on the PATH',
  })
  for (const [name, struct] of [
    ['versions', VersionsStruct],
    ['device', DeviceStruct],
    ['memory', MemoryStruct],
  ] as const) {
    const size = library.func(`magi_cuda_sizeof_${name}`, 'i64', [])()
    struct.assertSize(`MagiCuda ${name}`, size, library.path)
  }
  const text = ['ptr', 'i32'] as const // message, message_size
  const tail = ['i32', 'ptr', ...text] as const // device, stream, message, message_size
  return {
    path: library.path,
    getVersions: library.func('magi_cuda_get_versions', 'i32', ['ptr', ...text]),
    getDevice: library.func('magi_cuda_get_device', 'i32', ['i32', 'ptr', 'ptr', 'i32', ...text]),
    synchronize: library.func('magi_cuda_synchronize', 'i32', ['i32', ...text]),
    findCublas: library.func('magi_cuda_find_cublas', 'i32', ['ptr', 'i32', 'ptr', ...text]),

    allocate: library.func('magi_cuda_allocate', 'i32', ['i64', 'ptr', ...tail]),
    free: library.func('magi_cuda_free', 'i32', ['ptr', ...tail]),
    trim: library.func('magi_cuda_trim', 'i32', ['i32', ...text]),
    getMemory: library.func('magi_cuda_get_memory', 'i32', ['i32', 'ptr', ...text]),
    allocateHost: library.func('magi_cuda_allocate_host', 'i32', ['i64', 'ptr', ...text]),
    freeHost: library.func('magi_cuda_free_host', 'i32', ['ptr', ...text]),
    copy: library.func('magi_cuda_copy', 'i32', ['ptr', 'ptr', 'i64', ...tail]),
    copyPeer: library.func('magi_cuda_copy_peer', 'i32', [
      ...(['ptr', 'i32', 'ptr', 'i32', 'i64', 'ptr'] as const),
      ...text,
    ]),

    streamCreate: library.func('magi_cuda_stream_create', 'i32', ['i32', 'ptr', 'i32', ...text]),
    streamDestroy: library.func('magi_cuda_stream_destroy', 'i32', tail),
    streamSynchronize: library.func('magi_cuda_stream_synchronize', 'i32', tail),
    streamQuery: library.func('magi_cuda_stream_query', 'i32', ['ptr', ...tail]),
    streamWaitEvent: library.func('magi_cuda_stream_wait_event', 'i32', ['ptr', ...tail]),
    eventCreate: library.func('magi_cuda_event_create', 'i32', ['i32', 'ptr', 'i32', ...text]),
    eventDestroy: library.func('magi_cuda_event_destroy', 'i32', ['ptr', 'i32', ...text]),
    eventRecord: library.func('magi_cuda_event_record', 'i32', ['ptr', ...tail]),
    eventSynchronize: library.func('magi_cuda_event_synchronize', 'i32', ['ptr', 'i32', ...text]),
    eventQuery: library.func('magi_cuda_event_query', 'i32', ['ptr', 'ptr', 'i32', ...text]),
    eventElapsed: library.func('magi_cuda_event_elapsed', 'i32', ['ptr', 'ptr', 'ptr', 'i32', ...text]),

    fill: library.func('magi_cuda_fill', 'i32', ['ptr', 'i64', 'i32', 'f64', ...tail]),
    arange: library.func('magi_cuda_arange', 'i32', ['ptr', 'i64', 'i32', 'f64', 'f64', ...tail]),
    randn: library.func('magi_cuda_randn', 'i32', ['ptr', 'i64', 'i32', 'u64', 'u64', ...tail]),
    randUniform: library.func('magi_cuda_rand_uniform', 'i32', [
      ...(['ptr', 'i64', 'i32', 'u64', 'u64', 'f64', 'f64'] as const),
      ...tail,
    ]),
    cast: library.func('magi_cuda_cast', 'i32', ['ptr', 'i32', 'ptr', 'i32', 'i64', ...tail]),
    binary: library.func('magi_cuda_binary', 'i32', [
      ...(['i32', 'ptr', 'ptr', 'ptr', 'i32', 'i32', 'ptr', 'ptr', 'ptr'] as const),
      ...tail,
    ]),
    scale: library.func('magi_cuda_scale', 'i32', ['ptr', 'ptr', 'i64', 'i32', 'f64', 'f64', ...tail]),
    sum: library.func('magi_cuda_sum', 'i32', ['ptr', 'ptr', 'i32', 'i64', 'i64', 'i64', 'f64', ...tail]),
    copyRows: library.func('magi_cuda_copy_rows', 'i32', [
      ...(['ptr', 'i64', 'ptr', 'i64', 'i64', 'i64', 'i32'] as const),
      ...tail,
    ]),
    indexSelect: library.func('magi_cuda_index_select', 'i32', [
      ...(['ptr', 'ptr', 'ptr', 'i64', 'i64', 'i64', 'i64', 'i32'] as const),
      ...tail,
    ]),
    indexAdd: library.func('magi_cuda_index_add', 'i32', [
      ...(['ptr', 'ptr', 'ptr', 'i32', 'i64', 'i64', 'i64', 'i64'] as const),
      ...tail,
    ]),
    matmul: library.func('magi_cuda_matmul', 'i32', [
      ...(['ptr', 'ptr', 'ptr', 'i32', 'i64', 'i64', 'i64', 'i32', 'i32'] as const),
      ...tail,
    ]),
  }
}

let bound: ReturnType<typeof bindCudaLibrary> | undefined

/**
 * The functions of libmagi_tensor_cuda (tensor_cuda.h), loaded at first use.
 * @throws NativeLibraryNotFoundError where it was not built, NativeLibraryIncompatibleError where it cannot be used
 */
export function cudaLibrary(): ReturnType<typeof bindCudaLibrary> {
  bound ??= bindCudaLibrary()
  return bound
}
