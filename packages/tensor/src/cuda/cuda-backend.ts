import type { Backend, BinaryOperator } from '../backend.js'
import { dtypeInfo } from '../dtype.js'
import { messageBuffer } from '../native/status.js'
import { broadcastStrides } from '../shape.js'
import type { Tensor } from '../tensor.js'
import { cudaLibrary } from './cuda-library.js'
import { allocateCuda, callWithMemory } from './cuda-memory.js'
import { assertUsable } from './devices.js'
import { checkCuda, recordOperation } from './operations.js'
import { currentHandle } from './stream-handle.js'

const operatorCodes: Readonly<Record<BinaryOperator, number>> = { add: 0, sub: 1, mul: 2, div: 3 }

const codeOf = (tensor: Tensor): number => dtypeInfo(tensor.dtype).code
const itemsizeOf = (tensor: Tensor): number => dtypeInfo(tensor.dtype).itemsize
const int64s = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt)

/** Device, stream, message, message size: how every operation of tensor_cuda.h ends. */
type Tail = [device: number, stream: bigint, message: Uint8Array, messageSize: number]

/**
 * One GPU, through libmagi_tensor_cuda. Operations are enqueued on its current stream.
 * @throws DeviceError if there is no such GPU, or it cannot be used
 */
export function makeCudaBackend(device: number): Backend {
  assertUsable(device)
  const library = cudaLibrary()

  /** Enqueues an operation on the current stream. */
  const enqueue = (name: string, call: (...tail: Tail) => number): void => {
    const stream = currentHandle(device).address
    const status = callWithMemory(device, () => call(device, stream, messageBuffer, messageBuffer.length))
    checkCuda(status, name, device)
    recordOperation(device, stream, name)
  }

  return {
    allocate: bytes => allocateCuda(bytes, device),

    fill(out, value) {
      enqueue('fill', (...tail) => library.fill(out.data_ptr(), out.numel(), codeOf(out), value, ...tail))
    },

    arange(out, start, step) {
      enqueue('arange', (...tail) =>
        library.arange(out.data_ptr(), out.numel(), codeOf(out), start, step, ...tail),
      )
    },

    randn(out, seed, offset) {
      enqueue('randn', (...tail) =>
        library.randn(out.data_ptr(), out.numel(), codeOf(out), seed, offset, ...tail),
      )
    },

    randUniform(out, seed, offset, low, high) {
      enqueue('rand', (...tail) =>
        library.randUniform(out.data_ptr(), out.numel(), codeOf(out), seed, offset, low, high, ...tail),
      )
    },

    cast(out, input) {
      enqueue('cast', (...tail) =>
        library.cast(out.data_ptr(), codeOf(out), input.data_ptr(), codeOf(input), out.numel(), ...tail),
      )
    },

    binary(operator, out, a, b) {
      const sizes = int64s(out.shape)
      const [stridesA, stridesB] = [a, b].map(({ shape }) => int64s(broadcastStrides(shape, out.shape)))
      enqueue(operator, (...tail) =>
        library.binary(
          operatorCodes[operator],
          out.data_ptr(),
          a.data_ptr(),
          b.data_ptr(),
          codeOf(out),
          out.ndim,
          sizes,
          stridesA!,
          stridesB!,
          ...tail,
        ),
      )
    },

    scale(out, input, scale, shift) {
      enqueue('scale', (...tail) =>
        library.scale(out.data_ptr(), input.data_ptr(), out.numel(), codeOf(out), scale, shift, ...tail),
      )
    },

    sum(out, input, { outer, reduced, inner }, scale) {
      enqueue('sum', (...tail) =>
        library.sum(out.data_ptr(), input.data_ptr(), codeOf(input), outer, reduced, inner, scale, ...tail),
      )
    },

    copyRows(out, input, rows, rowElements) {
      const itemsize = itemsizeOf(out.tensor)
      const to = out.tensor.data_ptr() + BigInt(out.offset * itemsize)
      const from = input.tensor.data_ptr() + BigInt(input.offset * itemsize)
      enqueue('copy', (...tail) =>
        library.copyRows(to, out.stride, from, input.stride, rows, rowElements, itemsize, ...tail),
      )
    },

    indexSelect(out, input, index, { outer, inRows, outRows, inner }) {
      const [to, from, rows] = [out.data_ptr(), input.data_ptr(), index.data_ptr()]
      enqueue('index_select', (...tail) =>
        library.indexSelect(to, from, rows, outer, inRows, outRows, inner, itemsizeOf(out), ...tail),
      )
    },

    indexAdd(out, input, index, { outer, inRows, outRows, inner }) {
      const [to, from, rows] = [out.data_ptr(), input.data_ptr(), index.data_ptr()]
      enqueue('index_add', (...tail) =>
        library.indexAdd(to, from, rows, codeOf(out), outer, outRows, inRows, inner, ...tail),
      )
    },

    matmul(out, a, b, { m, n, k, transposeA, transposeB }) {
      const [to, left, right] = [out.data_ptr(), a.data_ptr(), b.data_ptr()]
      const [flagA, flagB] = [Number(transposeA), Number(transposeB)]
      enqueue('matmul', (...tail) =>
        library.matmul(to, left, right, codeOf(out), m, n, k, flagA, flagB, ...tail),
      )
    },
  }
}
