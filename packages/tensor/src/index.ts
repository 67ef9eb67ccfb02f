export type { BackwardOptions } from './autograd/backward.js'
export { apply_function, type CustomFunction, type FunctionContext } from './autograd/function.js'
export { is_grad_enabled, no_grad } from './autograd/grad-mode.js'
export { empty_cache } from './cpu/host-memory.js'
export * as cuda from './cuda/index.js'
export type { Device } from './device.js'
export type { DLPackDescriptor } from './dlpack.js'
export {
  bfloat16,
  type DType,
  float16,
  float32,
  float64,
  int32,
  int64,
  type TensorTypedArray,
} from './dtype.js'
export {
  arange,
  empty,
  empty_like,
  type Float16ArrayLike,
  from_typed_array,
  full,
  type NestedData,
  ones,
  ones_like,
  type TensorOptions,
  type TypedArrayData,
  tensor,
  zeros,
  zeros_like,
} from './factory.js'
export * as nn from './nn/index.js'
export { cat } from './ops/cat.js'
export { pad, pad_at_dim, squash_batch_dim, unpad_at_dim } from './ops/pad.js'
export { manual_seed, rand, randn, randn_like } from './random.js'
export { keep, TensorScope, tidy } from './scope.js'
export type { Shape, SizeArguments } from './shape.js'
export { type MemoryInfo, memory } from './storage.js'
export { type NestedNumbers, Tensor } from './tensor.js'
export { get_num_threads, set_num_threads } from './threads.js'
