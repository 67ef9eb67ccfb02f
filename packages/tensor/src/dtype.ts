import { DTypeError } from '@magi-attention/common'

/** Element type of a tensor. */
export type DType = 'float32' | 'bfloat16' | 'float16' | 'float64' | 'int32' | 'int64'

export const float32 = 'float32'
export const bfloat16 = 'bfloat16'
export const float16 = 'float16'
export const float64 = 'float64'
export const int32 = 'int32'
export const int64 = 'int64'

/** The typed arrays that hold tensors: bfloat16 and float16 as their bits in a Uint16Array. */
export type TensorTypedArray = Float32Array | Float64Array | Uint16Array | Int32Array | BigInt64Array

type TypedArrayConstructor = new (buffer: ArrayBuffer, byteOffset: number, length: number) => TensorTypedArray

interface DTypeInfo {
  /** Number of the type in the C ABI (abi.h). */
  readonly code: number
  readonly itemsize: number
  readonly isFloat: boolean
  readonly array: TypedArrayConstructor
  /** Type code of the DLPack standard: 0 signed integer, 2 IEEE float, 4 bfloat. */
  readonly dlpackCode: number
}

const infos: Readonly<Record<DType, DTypeInfo>> = {
  float32: { code: 0, itemsize: 4, isFloat: true, array: Float32Array, dlpackCode: 2 },
  bfloat16: { code: 1, itemsize: 2, isFloat: true, array: Uint16Array, dlpackCode: 4 },
  float16: { code: 2, itemsize: 2, isFloat: true, array: Uint16Array, dlpackCode: 2 },
  float64: { code: 3, itemsize: 8, isFloat: true, array: Float64Array, dlpackCode: 2 },
  int32: { code: 4, itemsize: 4, isFloat: false, array: Int32Array, dlpackCode: 0 },
  int64: { code: 5, itemsize: 8, isFloat: false, array: BigInt64Array, dlpackCode: 0 },
}

export function dtypeInfo(dtype: DType): DTypeInfo {
  return infos[dtype]
}

export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(infos, value)
}

export function isFloatDType(dtype: DType): boolean {
  return infos[dtype].isFloat
}

/** @throws DTypeError */
export function assertDType(argument: string, value: unknown): DType {
  if (isDType(value)) return value
  throw new DTypeError({ argument, expected: `one of ${Object.keys(infos).join(', ')}`, actual: value })
}
