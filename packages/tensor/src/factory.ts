import { ArgumentError, DTypeError, ShapeError } from '@magi-attention/common'
import { backendOf } from './backend.js'
import { assertTensor } from './check.js'
import { copyElements, wrapTypedArray } from './data.js'
import { type Device, parseDevice } from './device.js'
import { assertDType, type DType, dtypeInfo, isFloatDType } from './dtype.js'
import { assertShape, numelOf, type Shape, type SizeArguments, splitSizeArguments } from './shape.js'
import { Tensor } from './tensor.js'

export interface TensorOptions {
  /** Default: `'float32'`; for `*_like`, the dtype of the other tensor. */
  readonly dtype?: DType | undefined
  /** Default: `'cpu'`; for `*_like`, the device of the other tensor. */
  readonly device?: Device | 'cuda' | undefined
  /** Default: false. */
  readonly requires_grad?: boolean | undefined
}

/** Uninitialised, without checks. */
export function emptyTensor(shape: Shape, dtype: DType, device: Device): Tensor {
  const storage = backendOf(device).allocate(numelOf(shape) * dtypeInfo(dtype).itemsize)
  return Tensor._make(storage, 0, Object.freeze([...shape]), dtype)
}

export function emptyLike(x: Tensor): Tensor {
  return emptyTensor(x.shape, x.dtype, x.device)
}

export function zerosTensor(shape: Shape, dtype: DType, device: Device): Tensor {
  const out = emptyTensor(shape, dtype, device)
  if (!out._storage.isZero) backendOf(device).fill(out, 0)
  return out
}

/**
 * A copy on another device, without history; of the same device, a view. With `nonBlocking`, pinned memory may still be
 * read afterwards.
 */
export function transfer(x: Tensor, device: Device, nonBlocking = false): Tensor {
  if (x.device === device) return x._alias()
  const out = emptyTensor(x.shape, x.dtype, device)
  copyElements(out, x, nonBlocking)
  return out
}

/** Overwrites a new tensor on any device with converted values of a CPU tensor of its shape. */
function fillFrom(out: Tensor, source: Tensor): void {
  if (out.device === 'cpu') {
    backendOf('cpu').cast(out, source)
    return
  }
  using converted = emptyTensor(out.shape, out.dtype, 'cpu')
  backendOf('cpu').cast(converted, source)
  copyElements(out, converted)
}

/** Reads the options, makes the tensor, and fills it; nothing is left behind if that fails. */
export function createTensor(
  shape: Shape,
  options: TensorOptions | undefined,
  defaults: { dtype: DType; device: Device },
  fill: (out: Tensor) => void,
): Tensor {
  assertOptionNames('options', options ?? {}, ['dtype', 'device', 'requires_grad'])
  const dtype = options?.dtype === undefined ? defaults.dtype : assertDType('dtype', options.dtype)
  const device = options?.device === undefined ? defaults.device : parseDevice('device', options.device)
  const out = emptyTensor(shape, dtype, device)
  try {
    fill(out)
    if (options?.requires_grad !== undefined) out.requires_grad = options.requires_grad
    return out
  } catch (error) {
    out.dispose()
    throw error
  }
}

/** @throws ArgumentError for options that are no object or hold an unknown name, such as a misspelt one */
export function assertOptionNames(argument: string, options: unknown, names: readonly string[]): void {
  const expected = `an object of ${names.join(', ')}`
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ArgumentError({ argument, expected, actual: options })
  }
  const unknown = Object.keys(options).find(name => !names.includes(name))
  if (unknown !== undefined) throw new ArgumentError({ argument, expected, actual: unknown })
}

const defaults = { dtype: 'float32', device: 'cpu' } as const

function fillZero(out: Tensor): void {
  if (!out._storage.isZero) backendOf(out.device).fill(out, 0)
}

/** A tensor of zeros: `zeros(2, 3)` or `zeros([2, 3], { dtype })`. */
export function zeros(...args: SizeArguments<TensorOptions>): Tensor {
  const [shape, options] = splitSizeArguments(args)
  return createTensor(shape, options, defaults, fillZero)
}

/** A tensor of ones. */
export function ones(...args: SizeArguments<TensorOptions>): Tensor {
  const [shape, options] = splitSizeArguments(args)
  return createTensor(shape, options, defaults, out => backendOf(out.device).fill(out, 1))
}

/** A tensor with whatever values its memory holds. */
export function empty(...args: SizeArguments<TensorOptions>): Tensor {
  const [shape, options] = splitSizeArguments(args)
  return createTensor(shape, options, defaults, () => undefined)
}

/**
 * A tensor of one value.
 * @throws ArgumentError if the value is no number, or no integer in range for an integer dtype
 */
export function full(size: Shape, fill_value: number, options?: TensorOptions): Tensor {
  return createTensor(assertShape('size', size), options, defaults, out => {
    assertRepresentable('fill_value', fill_value, out.dtype)
    backendOf(out.device).fill(out, fill_value)
  })
}

/** Zeros in the shape of `x`; dtype and device too, unless given. */
export function zeros_like(x: Tensor, options?: TensorOptions): Tensor {
  assertTensor('x', x)
  return createTensor(x.shape, options, x, fillZero)
}

/** Ones in the shape of `x`; dtype and device too, unless given. */
export function ones_like(x: Tensor, options?: TensorOptions): Tensor {
  assertTensor('x', x)
  return createTensor(x.shape, options, x, out => backendOf(out.device).fill(out, 1))
}

/** Uninitialised, in the shape of `x`; dtype and device too, unless given. */
export function empty_like(x: Tensor, options?: TensorOptions): Tensor {
  assertTensor('x', x)
  return createTensor(x.shape, options, x, () => undefined)
}

/**
 * `start, start + step, ...` below `end`: `arange(end)`, `arange(start, end)` or `arange(start, end, step)`, then
 * perhaps options. The dtype is int64 if all three are integers, else float32, unless given.
 * @throws ArgumentError for a step of 0, or one that leads away from `end`
 */
export function arange(
  ...args:
    | readonly [end: number, options?: TensorOptions]
    | readonly [start: number, end: number, options?: TensorOptions]
    | readonly [start: number, end: number, step: number, options?: TensorOptions]
): Tensor {
  const list: readonly unknown[] = args
  const last = list.at(-1)
  const hasOptions = list.length > 1 && (typeof last === 'object' || last === undefined)
  const numbers = (hasOptions ? list.slice(0, -1) : list) as readonly number[]
  const names = numbers.length === 1 ? ['end'] : ['start', 'end', 'step']
  if (numbers.length === 0 || numbers.length > 3) {
    throw new ArgumentError({
      argument: 'arange',
      expected: '(end), (start, end) or (start, end, step)',
      actual: list,
    })
  }
  numbers.forEach((value, i) => {
    if (typeof value === 'number' && Number.isFinite(value)) return
    throw new ArgumentError({ argument: names[i]!, expected: 'a finite number', actual: value })
  })
  const [start, end, step] =
    numbers.length === 1 ? [0, numbers[0]!, 1] : [numbers[0]!, numbers[1]!, numbers[2] ?? 1]
  if (step === 0 || (end - start) / step < 0) {
    throw new ArgumentError({
      argument: 'step',
      expected: `a step from ${start} towards ${end}`,
      actual: step,
    })
  }
  const shape = assertShape('size', [Math.ceil((end - start) / step)])
  const dtype = numbers.every(Number.isSafeInteger) ? 'int64' : 'float32'
  return createTensor(
    shape,
    hasOptions ? (last as TensorOptions) : undefined,
    { ...defaults, dtype },
    out => {
      if (!isFloatDType(out.dtype) && dtype !== 'int64') {
        throw new DTypeError({
          argument: 'dtype',
          expected: 'a float dtype for fractional bounds',
          actual: out.dtype,
        })
      }
      if (shape[0]! > 0) {
        assertRepresentable('start', start, out.dtype)
        assertRepresentable('end', start + (shape[0]! - 1) * step, out.dtype)
      }
      backendOf(out.device).arange(out, start, step)
    },
  )
}

/**
 * A tensor from nested arrays of numbers, or a copy of a typed array (1-D). Numbers become float32 unless a dtype is
 * given: JavaScript does not tell 1.0 from 1. A Uint16Array holds bits and needs a dtype, bfloat16 or float16.
 *
 * @throws ShapeError for ragged arrays, ArgumentError for values that the dtype does not hold
 */
export function tensor(data: NestedData | TypedArrayData, options?: TensorOptions): Tensor {
  if (ArrayBuffer.isView(data)) {
    using source = from_typed_array(data as TypedArrayData, [(data as TypedArrayData).length], {
      dtype: data instanceof Uint16Array ? options?.dtype : undefined,
    })
    const dtype = options?.dtype === undefined ? source.dtype : assertDType('dtype', options.dtype)
    return createTensor(source.shape, { ...options, dtype }, defaults, out => fillFrom(out, source))
  }
  const shape: number[] = []
  for (let item: unknown = data; Array.isArray(item); item = item[0]) shape.push(item.length)
  return createTensor(assertShape('data', shape), options, defaults, out => {
    const values = flatten(data, shape, out.dtype)
    using source = wrapTypedArray(values, out.shape, values instanceof Float64Array ? 'float64' : 'int64')
    fillFrom(out, source)
  })
}

export type NestedData = number | readonly NestedData[]

/** Typed arrays whose elements are tensor elements; Float16Array where the runtime has it. */
export type TypedArrayData =
  | Float32Array
  | Float64Array
  | Uint16Array
  | Int32Array
  | BigInt64Array
  | Float16ArrayLike

/** A Float16Array, described so that the types work on runtimes without it. */
export interface Float16ArrayLike extends ArrayBufferView {
  readonly length: number
  readonly [Symbol.toStringTag]: 'Float16Array'
}

function flatten(data: NestedData, shape: Shape, dtype: DType): Float64Array | BigInt64Array {
  const isFloat = isFloatDType(dtype)
  const values = isFloat ? new Float64Array(numelOf(shape)) : new BigInt64Array(numelOf(shape))
  let next = 0
  const visit = (item: NestedData, dim: number, path: string): void => {
    if (dim < shape.length) {
      if (!Array.isArray(item) || item.length !== shape[dim]) {
        throw new ShapeError({
          argument: path,
          expected: `an array of ${shape[dim]} items like its siblings`,
          actual: item,
        })
      }
      item.forEach((child, i) => {
        visit(child, dim + 1, `${path}[${i}]`)
      })
      return
    }
    assertRepresentable(path, item, dtype)
    values[next++] = isFloat ? (item as number) : BigInt(item as number)
  }
  visit(data, 0, 'data')
  return values
}

/** @throws ArgumentError for a value that is no number, or no integer in range for an integer dtype */
export function assertRepresentable(argument: string, value: unknown, dtype: DType): void {
  if (typeof value !== 'number') throw new ArgumentError({ argument, expected: 'a number', actual: value })
  if (isFloatDType(dtype)) return
  const inRange = dtype === 'int64' ? Number.isSafeInteger(value) : value === (value | 0)
  if (!inRange)
    throw new ArgumentError({ argument, expected: `an integer that fits ${dtype}`, actual: value })
}

const arrayDTypes: Readonly<Record<string, DType>> = {
  Float32Array: 'float32',
  Float64Array: 'float64',
  Float16Array: 'float16',
  Int32Array: 'int32',
  BigInt64Array: 'int64',
}

/**
 * A tensor on the memory of a typed array, without a copy: writes on either side show on the other. The array's buffer
 * must not be transferred or resized while the tensor lives. With a dtype other than the array's, or another device than
 * the CPU, a copy.
 *
 * @param shape sizes of as many elements as the array has. Default: 1-D
 * @param options `dtype` is needed for a Uint16Array, which holds the bits of bfloat16 or float16
 */
export function from_typed_array(array: TypedArrayData, shape?: Shape, options: TensorOptions = {}): Tensor {
  assertOptionNames('options', options ?? {}, ['dtype', 'device', 'requires_grad'])
  const kind = ArrayBuffer.isView(array) ? (array as Float32Array)[Symbol.toStringTag] : ''
  const wanted = options.dtype === undefined ? undefined : assertDType('dtype', options.dtype)
  const device = options.device === undefined ? 'cpu' : parseDevice('device', options.device)
  backendOf(device)
  const isBits = (kind as string) === 'Uint16Array'
  if (isBits && wanted !== 'bfloat16' && wanted !== 'float16') {
    throw new DTypeError({
      argument: 'dtype',
      expected: 'bfloat16 or float16, for a Uint16Array of bits',
      actual: wanted,
    })
  }
  const own = isBits ? wanted : arrayDTypes[kind]
  if (own === undefined) {
    throw new ArgumentError({
      argument: 'array',
      expected: 'a Float32Array, Float64Array, Float16Array, Uint16Array, Int32Array or BigInt64Array',
      actual: array,
    })
  }
  const sizes = assertShape('shape', shape ?? [array.length])
  if (numelOf(sizes) !== array.length) {
    throw new ShapeError({
      argument: 'shape',
      expected: `sizes of ${array.length} elements in all`,
      actual: shape,
    })
  }
  const wrapped = wrapTypedArray(array, sizes, own)
  const isSame = (wanted === undefined || wanted === own) && device === 'cpu'
  const result = isSame ? wrapped : wrapped.to({ dtype: wanted, device })
  if (result !== wrapped) wrapped.dispose()
  if (options.requires_grad !== undefined) result.requires_grad = options.requires_grad
  return result
}
