import type { Backend, BinaryOperator } from '../backend.js'
import { dtypeInfo } from '../dtype.js'
import { checkStatus, messageBuffer } from '../native/status.js'
import { broadcastStrides } from '../shape.js'
import { Storage } from '../storage.js'
import type { Tensor } from '../tensor.js'
import { num_threads } from '../threads.js'
import { tensorLibrary } from './tensor-library.js'

const operatorCodes: Readonly<Record<BinaryOperator, number>> = { add: 0, sub: 1, mul: 2, div: 3 }

const codeOf = (tensor: Tensor): number => dtypeInfo(tensor.dtype).code
const itemsizeOf = (tensor: Tensor): number => dtypeInfo(tensor.dtype).itemsize
const tail = (): [number, Uint8Array, number] => [num_threads(), messageBuffer, messageBuffer.length]
const check = (status: number, name: string): void =>
  checkStatus(status, messageBuffer, `magi_tensor_${name}`)
const int64s = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt)

/** The CPU, through libmagi_tensor_cpu. */
export const cpuBackend: Backend = {
  allocate: bytes => Storage.allocate(bytes),

  fill(out, value) {
    check(tensorLibrary().fill(out.data_ptr(), out.numel(), codeOf(out), value, ...tail()), 'fill')
  },

  arange(out, start, step) {
    check(tensorLibrary().arange(out.data_ptr(), out.numel(), codeOf(out), start, step, ...tail()), 'arange')
  },

  randn(out, seed, offset) {
    check(tensorLibrary().randn(out.data_ptr(), out.numel(), codeOf(out), seed, offset, ...tail()), 'randn')
  },

  randUniform(out, seed, offset, low, high) {
    const { randUniform } = tensorLibrary()
    const status = randUniform(out.data_ptr(), out.numel(), codeOf(out), seed, offset, low, high, ...tail())
    check(status, 'rand_uniform')
  },

  cast(out, input) {
    const { cast } = tensorLibrary()
    check(cast(out.data_ptr(), codeOf(out), input.data_ptr(), codeOf(input), out.numel(), ...tail()), 'cast')
  },

  binary(operator, out, a, b) {
    const status = tensorLibrary().binary(
      operatorCodes[operator],
      out.data_ptr(),
      a.data_ptr(),
      b.data_ptr(),
      codeOf(out),
      out.ndim,
      int64s(out.shape),
      int64s(broadcastStrides(a.shape, out.shape)),
      int64s(broadcastStrides(b.shape, out.shape)),
      ...tail(),
    )
    check(status, 'binary')
  },

  scale(out, input, scale, shift) {
    const status = tensorLibrary().scale(
      out.data_ptr(),
      input.data_ptr(),
      out.numel(),
      codeOf(out),
      scale,
      shift,
      ...tail(),
    )
    check(status, 'scale')
  },

  sum(out, input, { outer, reduced, inner }, scale) {
    const status = tensorLibrary().sum(
      out.data_ptr(),
      input.data_ptr(),
      codeOf(input),
      outer,
      reduced,
      inner,
      scale,
      ...tail(),
    )
    check(status, 'sum')
  },

  copyRows(out, input, rows, rowElements) {
    const itemsize = itemsizeOf(out.tensor)
    const status = tensorLibrary().copyRows(
      out.tensor.data_ptr() + BigInt(out.offset * itemsize),
      out.stride,
      input.tensor.data_ptr() + BigInt(input.offset * itemsize),
      input.stride,
      rows,
      rowElements,
      itemsize,
      ...tail(),
    )
    check(status, 'copy_rows')
  },

  indexSelect(out, input, index, { outer, inRows, outRows, inner }) {
    const status = tensorLibrary().indexSelect(
      out.data_ptr(),
      input.data_ptr(),
      index.data_ptr(),
      outer,
      inRows,
      outRows,
      inner,
      itemsizeOf(out),
      ...tail(),
    )
    check(status, 'index_select')
  },

  indexAdd(out, input, index, { outer, inRows, outRows, inner }) {
    const status = tensorLibrary().indexAdd(
      out.data_ptr(),
      input.data_ptr(),
      index.data_ptr(),
      codeOf(out),
      outer,
      outRows,
      inRows,
      inner,
      ...tail(),
    )
    check(status, 'index_add')
  },

  matmul(out, a, b, { m, n, k, transposeA, transposeB }) {
    const status = tensorLibrary().matmul(
      out.data_ptr(),
      a.data_ptr(),
      b.data_ptr(),
      codeOf(out),
      m,
      n,
      k,
      Number(transposeA),
      Number(transposeB),
      ...tail(),
    )
    check(status, 'matmul')
  },
}
