import { inspect } from 'node:util'
import { ArgumentError, DeviceError, DTypeError, MagiError, ShapeError } from '@magi-attention/common'
import {
  arange,
  bfloat16,
  type Device,
  type DType,
  empty,
  empty_like,
  float16,
  from_typed_array,
  full,
  get_num_threads,
  int32,
  int64,
  ones,
  ones_like,
  set_num_threads,
  type Tensor,
  tensor,
  zeros,
  zeros_like,
} from '@magi-attention/tensor'
import { assertTensor, dtypeCode, newEmpty } from '@magi-attention/tensor/internal'
import { describe, expect, it } from 'vitest'

describe('tensor', () => {
  it('reads nested arrays, scalars and empty ones', () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect([x.shape, x.strides, x.dtype, x.device, x.ndim, x.numel()]).toEqual([
      [2, 3],
      [3, 1],
      'float32',
      'cpu',
      2,
      6,
    ])
    expect(tensor(3).shape).toEqual([])
    expect(tensor(3).item()).toBe(3)
    expect(tensor([]).shape).toEqual([0])
    expect(tensor([[], []]).shape).toEqual([2, 0])
    expect(tensor([[0, 1024]], { dtype: int32 }).to_typed_array()).toEqual(Int32Array.of(0, 1024))
    expect(tensor([0.1], { dtype: 'float64' }).item()).toBe(0.1)
    expect(tensor([1.00390625], { dtype: bfloat16 }).item()).toBe(1)
    expect(tensor([Number.MAX_SAFE_INTEGER], { dtype: int64 }).item()).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('copies typed arrays and takes their dtype', () => {
    const array = Float64Array.of(1, 2)
    const x = tensor(array)
    array[0] = 9
    expect([x.dtype, x.tolist()]).toEqual(['float64', [1, 2]])
    expect(tensor(array, { dtype: 'float32' }).dtype).toBe('float32')
    expect(tensor(Uint16Array.of(0x3f80), { dtype: bfloat16 }).item()).toBe(1)
    expect(tensor(Uint16Array.of(0x3c00), { dtype: float16 }).item()).toBe(1)
    expect(() => tensor(Uint16Array.of(1))).toThrow(DTypeError)
  })

  it('refuses ragged arrays and values that do not fit', () => {
    expect(() => tensor([[1, 2], [3]])).toThrow(ShapeError)
    expect(() => tensor([1, [2]])).toThrow(ArgumentError)
    expect(() => tensor([[1], 2])).toThrow(/data\[1\]/)
    expect(() => tensor(['1' as unknown as number])).toThrow(ArgumentError)
    expect(() => tensor(null as unknown as number)).toThrow(ArgumentError)
    expect(() => tensor([1.5], { dtype: int32 })).toThrow(/data\[0\].*int32/)
    expect(() => tensor([2 ** 31], { dtype: int32 })).toThrow(ArgumentError)
    expect(() => tensor([2 ** 53], { dtype: int64 })).toThrow(ArgumentError)
    expect(() => tensor([Number.NaN], { dtype: int64 })).toThrow(ArgumentError)
    expect(() => tensor([1], { dtype: 'float8' as DType })).toThrow(DTypeError)
    expect(() => tensor([1], { dtyp: 'float64' } as object)).toThrow(ArgumentError)
    expect(() => tensor(new Uint8Array(2) as unknown as Float32Array)).toThrow(ArgumentError)
  })
})

describe('from_typed_array', () => {
  it('shares memory', () => {
    const array = Float32Array.of(1, 2, 3, 4, 5, 6)
    const x = from_typed_array(array.subarray(1, 5), [2, 2])
    array[1] = 20
    expect(x.tolist()).toEqual([
      [20, 3],
      [4, 5],
    ])
    x.narrow(0, 1, 1).copy_(Float32Array.of(40, 50))
    expect(Array.from(array)).toEqual([1, 20, 3, 40, 50, 6])
    expect((x.typed_array() as Float32Array).buffer).toBe(array.buffer)
  })

  it('takes bits for bfloat16 and float16, and shared buffers', () => {
    expect(from_typed_array(Uint16Array.of(0x3f80, 0xc000), [2], { dtype: bfloat16 }).tolist()).toEqual([
      1, -2,
    ])
    const shared = new Float32Array(new SharedArrayBuffer(8))
    shared[1] = 3
    expect(from_typed_array(shared).tolist()).toEqual([0, 3])
  })

  it('copies when the dtype differs', () => {
    const array = Float32Array.of(1, 2)
    const x = from_typed_array(array, [2], { dtype: 'float64', requires_grad: true })
    array[0] = 5
    expect([x.dtype, x.tolist(), x.requires_grad]).toEqual(['float64', [1, 2], true])
  })

  it('notices a buffer that was transferred away', () => {
    const array = Float32Array.of(1, 2)
    const x = from_typed_array(array)
    structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
    expect(() => x.add(1)).toThrow(/transferred/)
    expect(() => x.tolist()).toThrow(ArgumentError)
  })

  it('refuses what does not fit', () => {
    expect(() => from_typed_array(new Float32Array(3), [2])).toThrow(ShapeError)
    expect(() => from_typed_array([1] as unknown as Float32Array)).toThrow(ArgumentError)
    expect(() => from_typed_array(new DataView(new ArrayBuffer(8)) as unknown as Float32Array)).toThrow(
      ArgumentError,
    )
    expect(() => from_typed_array(new Uint16Array(3))).toThrow(DTypeError)
    expect(() => from_typed_array(new Uint16Array(3), [3], { dtype: 'float32' })).toThrow(DTypeError)
  })
})

describe('zeros, ones, full, empty and arange', () => {
  it.each(['float32', 'bfloat16', 'float16', 'float64', 'int32', 'int64'] as DType[])('make %s', dtype => {
    expect(zeros(2, 2, { dtype }).tolist()).toEqual([
      [0, 0],
      [0, 0],
    ])
    expect(ones([2], { dtype }).tolist()).toEqual([1, 1])
    expect(full([2], -3, { dtype }).tolist()).toEqual([-3, -3])
    expect(arange(1, 8, 3, { dtype }).tolist()).toEqual([1, 4, 7])
    expect(empty(3, { dtype }).dtype).toBe(dtype)
    const like = zeros_like(ones([2, 1], { dtype }))
    expect([like.dtype, like.shape]).toEqual([dtype, [2, 1]])
    expect(ones_like(like, { dtype: 'float32' }).dtype).toBe('float32')
    expect(empty_like(like).shape).toEqual([2, 1])
  })

  it('take sizes both ways, and none', () => {
    expect(zeros(2, 3).shape).toEqual(zeros([2, 3]).shape)
    expect(zeros([]).shape).toEqual([])
    expect(zeros(0, 3).tolist()).toEqual([])
    expect(zeros().item()).toBe(0)
  })

  it('arange follows torch', () => {
    expect(arange(3).dtype).toBe('int64')
    expect(arange(3).tolist()).toEqual([0, 1, 2])
    expect(arange(0, 1, 0.25).dtype).toBe('float32')
    expect(arange(5, 0, -2).tolist()).toEqual([5, 3, 1])
    expect(arange(2, 2).shape).toEqual([0])
    for (const args of [[0, 5, 0], [5, 0], [Number.NaN], [0, Infinity]] as [number, number, number][]) {
      expect(() => arange(...args)).toThrow(ArgumentError)
    }
    expect(() => arange(0, '5' as unknown as number)).toThrow(ArgumentError)
    expect(() => arange(0, 1, 0.5, { dtype: int32 })).toThrow(DTypeError)
    expect(() => arange(2 ** 33, 2 ** 33 + 2, { dtype: int32 })).toThrow(ArgumentError)
  })

  it('refuse bad sizes, dtypes, devices and options', () => {
    for (const size of [-1, 1.5, Number.NaN, '2', null, 2 ** 52]) {
      expect(() => zeros([size as number]), String(size)).toThrow(MagiError)
    }
    expect(() => zeros(2, '3' as unknown as number)).toThrow(ShapeError)
    expect(() => zeros([2], { dtype: 'float' as DType })).toThrow(DTypeError)
    expect(() => zeros([2], { device: 'cuda:999' })).toThrow(DeviceError)
    expect(() => zeros([2], { device: 'gpu' as Device })).toThrow(DeviceError)
    expect(() => zeros([2]).to('cuda:999')).toThrow(DeviceError)
    expect(() => zeros([2]).to('float8' as DType)).toThrow(DeviceError)
    expect(() => zeros([2]).to({ dtyp: 'float64' } as object)).toThrow(ArgumentError)
    expect(() => zeros([2]).to(3 as unknown as DType)).toThrow(ArgumentError)
    expect(() => zeros([2], 'float32' as unknown as object)).toThrow(ArgumentError)
    expect(() => full([2], '1' as unknown as number)).toThrow(ArgumentError)
    expect(() => full([2], 1.5, { dtype: int32 })).toThrow(ArgumentError)
    expect(() => zeros_like([1] as unknown as Tensor)).toThrow(ArgumentError)
  })
})

describe('reading and writing', () => {
  it('to_typed_array copies, typed_array does not', () => {
    const x = tensor([1, 2])
    const copy = x.to_typed_array() as Float32Array
    const view = x.typed_array() as Float32Array
    view[0] = 5
    copy[1] = 6
    expect(x.tolist()).toEqual([5, 2])
    expect(x.narrow(0, 1, 1).typed_array()).toEqual(Float32Array.of(2))
  })

  it('gives 16-bit floats as bits, and as float32', () => {
    const x = tensor([1, -2], { dtype: bfloat16 })
    expect(x.to_typed_array()).toEqual(Uint16Array.of(0x3f80, 0xc000))
    expect(x.to_float32_array()).toEqual(Float32Array.of(1, -2))
    expect(tensor([3], { dtype: int64 }).to_float32_array()).toEqual(Float32Array.of(3))
  })

  it('refuses int64 values that numbers cannot hold', () => {
    const x = from_typed_array(BigInt64Array.of(2n ** 60n))
    expect(() => x.item()).toThrow(/to_typed_array/)
    expect(x.to_typed_array()).toEqual(BigInt64Array.of(2n ** 60n))
  })

  it('item needs one element', () => {
    expect(tensor([[4]]).item()).toBe(4)
    expect(() => tensor([1, 2]).item()).toThrow(ShapeError)
  })

  it('copy_ checks shape and type', () => {
    const x = zeros(2)
    expect(x.copy_(tensor([1, 2]))).toBe(x)
    expect(x.tolist()).toEqual([1, 2])
    expect(() => x.copy_(zeros(3))).toThrow(ShapeError)
    expect(() => x.copy_(zeros([2], { dtype: 'float64' }))).toThrow(DTypeError)
    expect(() => x.copy_(new Float32Array(3))).toThrow(ShapeError)
    expect(() => x.copy_(new Float64Array(2))).toThrow(DTypeError)
    expect(() => x.copy_([1, 2] as unknown as Float32Array)).toThrow(DTypeError)
  })

  it('copy_ between overlapping views moves the values', () => {
    const x = arange(5)
    x.narrow(0, 1, 4).copy_(x.narrow(0, 0, 4))
    expect(x.tolist()).toEqual([0, 0, 1, 2, 3])
  })

  it('equal compares shape, dtype and values', () => {
    const x = tensor([1, 2])
    expect(x.equal(tensor([1, 2]))).toBe(true)
    expect(x.equal(tensor([1, 3]))).toBe(false)
    expect(x.equal(tensor([[1, 2]]))).toBe(false)
    expect(x.equal(tensor([1, 2], { dtype: 'float64' }))).toBe(false)
    expect(tensor([Number.NaN]).equal(tensor([Number.NaN]))).toBe(false)
    expect(tensor([Number.NaN], { dtype: bfloat16 }).equal(tensor([Number.NaN], { dtype: bfloat16 }))).toBe(
      false,
    )
    expect(() => x.equal([1, 2] as unknown as Tensor)).toThrow(ArgumentError)
  })

  it('prints dtype, device, shape and a few values', () => {
    expect(inspect(arange(10, { dtype: bfloat16 }).view(2, 5))).toBe(
      'Tensor(bfloat16, cpu)[2, 5] 0, 1, 2, 3, 4, 5, …',
    )
    expect(inspect(tensor([0.1]))).toBe('Tensor(float32, cpu)[1] 0.1')
    expect(inspect(zeros(0, 3))).toBe('Tensor(float32, cpu)[0, 3]')
    expect(inspect(from_typed_array(BigInt64Array.of(2n ** 60n)))).toBe(`Tensor(int64, cpu)[1] ${2n ** 60n}`)
    expect(inspect(tensor([Math.PI], { dtype: 'float64' }))).toBe('Tensor(float64, cpu)[1] 3.1416')
  })

  it('to_dlpack describes the memory in the numbers of dlpack.h', () => {
    const x = arange(6, { dtype: bfloat16 }).view(3, 2)
    const rows = x.narrow(0, 1, 2)
    const { release, ...descriptor } = rows.to_dlpack()
    expect(descriptor).toEqual({
      ptr: x.data_ptr(),
      device: { type: 1, id: 0 },
      dtype: { code: 4, bits: 16, lanes: 1 },
      shape: [2, 2],
      strides: [2, 1],
      byteOffset: 4,
    })
    release()
  })
})

describe('threads', () => {
  it('can be set', () => {
    expect(get_num_threads()).toBeGreaterThanOrEqual(1)
    set_num_threads(3)
    expect(get_num_threads()).toBe(3)
    for (const n of [0, -1, 1.5, '2' as unknown as number])
      expect(() => set_num_threads(n)).toThrow(ArgumentError)
  })
})

describe('internal helpers', () => {
  it('assertTensor names the argument and what is wrong', () => {
    const x = zeros([2, 3], { dtype: bfloat16 })
    expect(
      assertTensor('q', x, { dtype: ['float32', 'bfloat16'], ndim: 2, shape: [-1, 3], device: 'cpu' }),
    ).toBe(x)
    expect(() => assertTensor('q', 5)).toThrow(/^q: expected a Tensor, got 5/)
    expect(() => assertTensor('q', x, { dtype: 'float32' })).toThrow(DTypeError)
    expect(() => assertTensor('q', x, { ndim: [3, 4] })).toThrow(
      /3 or 4 dimensions, got Tensor\(bfloat16, cpu\)\[2, 3\]/,
    )
    expect(() => assertTensor('q', x, { shape: [2, 4] })).toThrow(ShapeError)
    expect(() => assertTensor('q', x, { device: 'cuda:0' })).toThrow(DeviceError)
  })

  it('dtypeCode and newEmpty', () => {
    expect(
      (['float32', 'bfloat16', 'float16', 'float64', 'int32', 'int64'] as DType[]).map(dtypeCode),
    ).toEqual([0, 1, 2, 3, 4, 5])
    expect(newEmpty([2, 2], 'float16').shape).toEqual([2, 2])
  })
})
