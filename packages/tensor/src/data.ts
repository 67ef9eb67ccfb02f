import { ArgumentError, DeviceError, DTypeError, OutOfMemoryError, ShapeError } from '@magi-attention/common'
import { backendOf } from './backend.js'
import { assertTensor } from './check.js'
import { copyBetweenDevices } from './cuda/copy.js'
import { allocatePinned } from './cuda/pinned-memory.js'
import { type DType, dtypeInfo, type TensorTypedArray } from './dtype.js'
import { numelOf, type Shape, sameShape } from './shape.js'
import { Storage } from './storage.js'
import { type NestedNumbers, Tensor } from './tensor.js'

/** A tensor on the memory of a typed array, on the CPU. */
export function wrapTypedArray(array: ArrayBufferView, shape: Shape, dtype: DType): Tensor {
  return Tensor._make(Storage.wrap(array), 0, shape, dtype)
}

/** The bytes of a CPU tensor. */
function bytesOf(tensor: Tensor): Uint8Array {
  const { itemsize } = dtypeInfo(tensor.dtype)
  const length = tensor.numel() * itemsize
  return makeArray(length, () => tensor._storage.bytes(tensor.storage_offset() * itemsize, length))
}

/** Typed arrays are shorter than tensors may be, and need memory of their own. */
function makeArray<T>(bytes: number, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new OutOfMemoryError(
      `A typed array of ${bytes} bytes cannot be had. Take the tensor in pieces, with narrow().`,
      { cause },
    )
  }
}

export function readTypedArray(tensor: Tensor): TensorTypedArray {
  const { array, itemsize } = dtypeInfo(tensor.dtype)
  if (tensor.device !== 'cpu') {
    const nbytes = tensor.numel() * itemsize
    const result = new array(
      makeArray(nbytes, () => new ArrayBuffer(nbytes)),
      0,
      tensor.numel(),
    )
    using target = wrapTypedArray(result, tensor.shape, tensor.dtype)
    copyBetweenDevices(target, tensor)
    return result
  }
  const bytes = bytesOf(tensor)
  const { buffer } = makeArray(bytes.length, () => bytes.slice())
  return new array(buffer as ArrayBuffer, 0, tensor.numel())
}

export function viewTypedArray(tensor: Tensor): TensorTypedArray {
  const { array, itemsize } = dtypeInfo(tensor.dtype)
  const { buffer, byteOffset } = tensor._storage.share()
  const start = byteOffset + tensor.storage_offset() * itemsize
  return makeArray(tensor.numel() * itemsize, () => new array(buffer, start, tensor.numel()))
}

export function readFloat32(tensor: Tensor): Float32Array {
  if (tensor.dtype === 'float32') return readTypedArray(tensor) as Float32Array
  if (tensor.device !== 'cpu') {
    const backend = backendOf(tensor.device)
    using converted = Tensor._make(backend.allocate(tensor.numel() * 4), 0, tensor.shape, 'float32')
    backend.cast(converted, tensor)
    return readTypedArray(converted) as Float32Array
  }
  const result = makeArray(tensor.numel() * 4, () => new Float32Array(tensor.numel()))
  using out = wrapTypedArray(result, tensor.shape, 'float32')
  backendOf(tensor.device).cast(out, tensor)
  return result
}

/** Flat values as numbers. */
function numbersOf(tensor: Tensor): ArrayLike<number> {
  if (tensor.dtype === 'int64') return Array.from(readTypedArray(tensor) as BigInt64Array, toSafeNumber)
  if (tensor.dtype === 'bfloat16' || tensor.dtype === 'float16') return readFloat32(tensor)
  return readTypedArray(tensor) as Float32Array | Float64Array | Int32Array
}

function toSafeNumber(value: bigint): number {
  const number = Number(value)
  if (Number.isSafeInteger(number)) return number
  throw new ArgumentError({
    argument: 'tensor',
    expected: 'int64 values that fit a JavaScript number',
    actual: value,
    hint: 'Read them with to_typed_array(), which gives bigints.',
  })
}

export function readItem(tensor: Tensor): number {
  if (tensor.numel() === 1) return numbersOf(tensor)[0]!
  throw new ShapeError({ argument: 'tensor', expected: 'one element', actual: tensor })
}

export function readNumbers(tensor: Tensor): NestedNumbers {
  const values = numbersOf(tensor)
  const { shape } = tensor
  const nest = (dim: number, start: number): NestedNumbers => {
    if (dim === shape.length) return values[start]!
    const step = numelOf(shape.slice(dim + 1))
    return Array.from({ length: shape[dim]! }, (_, i) => nest(dim + 1, start + i * step))
  }
  return nest(0, 0)
}

/** Copies all elements; the tensors may lie on different devices. */
export function copyElements(target: Tensor, source: Tensor, nonBlocking = false): void {
  if (target.device !== source.device) {
    copyBetweenDevices(target, source, nonBlocking)
    return
  }
  if (target._storage === source._storage) {
    // The views may overlap.
    using copy = source._alias().clone()
    copyElements(target, copy)
    return
  }
  const numel = source.numel()
  const block = (tensor: Tensor) => ({ tensor, offset: 0, stride: numel })
  backendOf(target.device).copyRows(block(target), block(source), 1, numel)
}

export function pinMemory(tensor: Tensor): Tensor {
  if (tensor.device !== 'cpu') {
    throw new DeviceError({ argument: 'tensor', expected: 'a CPU tensor', actual: tensor })
  }
  if (tensor.is_pinned()) return tensor._alias()
  const { itemsize } = dtypeInfo(tensor.dtype)
  const pinned = Tensor._make(allocatePinned(tensor.numel() * itemsize), 0, tensor.shape, tensor.dtype)
  copyElements(pinned, tensor)
  return pinned
}

/** Overwrites a tensor with one of the same shape and dtype, from any device. */
export function copyInto(target: Tensor, source: Tensor | TensorTypedArray, nonBlocking: boolean): void {
  if (source instanceof Tensor) {
    assertTensor('source', source, { dtype: target.dtype })
    if (!sameShape(source.shape, target.shape)) {
      throw new ShapeError({
        argument: 'source',
        expected: `a tensor of shape [${target.shape.join(', ')}]`,
        actual: source,
      })
    }
    copyElements(target, source, nonBlocking)
  } else {
    const { array } = dtypeInfo(target.dtype)
    if (!(source instanceof array)) {
      throw new DTypeError({ argument: 'source', expected: `a Tensor or ${array.name}`, actual: source })
    }
    if (source.length !== target.numel()) {
      throw new ShapeError({
        argument: 'source',
        expected: `${target.numel()} elements`,
        actual: source.length,
      })
    }
    using wrapped = wrapTypedArray(source, target.shape, target.dtype)
    copyElements(target, wrapped)
  }
  target._storage.version++
}
