/// <reference lib="esnext.disposable" preserve="true" />
import { ArgumentError, AutogradError, DeviceError, DisposedError, DTypeError } from '@magi-attention/common'
import { type BackwardOptions, runBackward } from './autograd/backward.js'
import { is_grad_enabled } from './autograd/grad-mode.js'
import type { GraphNode } from './autograd/graph-node.js'
import { PinnedMemory } from './cuda/pinned-memory.js'
import {
  copyInto,
  pinMemory,
  readFloat32,
  readItem,
  readNumbers,
  readTypedArray,
  viewTypedArray,
} from './data.js'
import type { Device } from './device.js'
import { type DLPackDescriptor, exportDLPack } from './dlpack.js'
import { type DType, dtypeInfo, isFloatDType, type TensorTypedArray } from './dtype.js'
import { inspectTensor } from './inspect.js'
import { clone, convert } from './ops/convert.js'
import { binary, negate } from './ops/elementwise.js'
import { matmul } from './ops/matmul.js'
import { reduce } from './ops/reduce.js'
import { index_select, narrow, viewAs } from './ops/view.js'
import { trackInRunningScope } from './scope.js'
import { numelOf, type Shape, sameShape, stridesOf } from './shape.js'
import { countTensor, type Storage, uncountTensor } from './storage.js'

/** Numbers nested as deep as the tensor has dimensions. */
export type NestedNumbers = number | readonly NestedNumbers[]

/**
 * A dense, row-major tensor. Made by `tensor`, `zeros`, `randn` and the like, never by `new`.
 *
 * Functions borrow tensors: an argument is never consumed. A tensor's memory goes back when all handles on it are
 * disposed (`using`, `dispose()`, `tidy`, `TensorScope`) and the tape no longer needs it. Every use of a disposed
 * tensor throws DisposedError.
 */
export class Tensor implements Disposable {
  readonly #storage: Storage
  readonly #offset: number
  readonly #shape: Shape
  readonly #dtype: DType
  #isDisposed = false
  #requiresGrad = false
  /** @internal */
  _gradFn: GraphNode | null = null
  /** @internal */
  _outputIndex = 0
  /** @internal */
  _grad: Tensor | null = null
  /** The scope that frees this tensor. @internal */
  _scope: import('./scope.js').TensorScope | null = null

  private constructor(storage: Storage, offset: number, shape: Shape, dtype: DType) {
    this.#storage = storage
    this.#offset = offset
    this.#shape = shape
    this.#dtype = dtype
    storage.retain(this)
    countTensor(this)
    trackInRunningScope(this)
  }

  /** A new handle on a storage, from an offset in elements on. @internal */
  static _make(storage: Storage, offset: number, shape: Shape, dtype: DType): Tensor {
    return new Tensor(storage, offset, shape, dtype)
  }

  /** Sizes of the dimensions, outermost first. */
  get shape(): Shape {
    this.#assertLive()
    return this.#shape
  }

  /** Row-major strides in elements. */
  get strides(): readonly number[] {
    return stridesOf(this.shape)
  }

  get dtype(): DType {
    this.#assertLive()
    return this.#dtype
  }

  get device(): Device {
    return this._storage.device
  }

  /** Number of dimensions. */
  get ndim(): number {
    return this.shape.length
  }

  /** Number of elements. */
  numel(): number {
    return numelOf(this.shape)
  }

  /** Where the tensor begins in its storage, in elements. */
  storage_offset(): number {
    this.#assertLive()
    return this.#offset
  }

  /**
   * Address of the first element, in the memory of the tensor's device. Valid until the tensor is disposed; native code
   * must not write into a saved tensor. On a GPU, the memory is kept until the current stream is done with it.
   */
  data_ptr(): bigint {
    return this._storage.address() + BigInt(this.#offset * dtypeInfo(this.#dtype).itemsize)
  }

  get is_disposed(): boolean {
    return this.#isDisposed
  }

  /** True for a tensor that no recorded function made. Gradients are kept in leaves only. */
  get is_leaf(): boolean {
    this.#assertLive()
    return this._gradFn === null
  }

  /** Whether operations on this tensor are recorded. */
  get requires_grad(): boolean {
    this.#assertLive()
    return this.#requiresGrad || this._gradFn !== null
  }

  /** @throws AutogradError for a tensor with history, DTypeError for integers */
  set requires_grad(value: boolean) {
    this.#assertLive()
    if (typeof value !== 'boolean') {
      throw new ArgumentError({ argument: 'requires_grad', expected: 'true or false', actual: value })
    }
    if (this._gradFn !== null) {
      if (value) return
      throw new AutogradError('requires_grad cannot be cleared on a result. Use detach().', { actual: this })
    }
    if (value && !isFloatDType(this.#dtype)) {
      throw new DTypeError({ argument: 'requires_grad', expected: 'a float dtype', actual: this.#dtype })
    }
    this.#requiresGrad = value
  }

  /** The gradient of a leaf after backward; null before, and for results. It belongs to this tensor. */
  get grad(): Tensor | null {
    this.#assertLive()
    return this._grad?.is_disposed ? null : this._grad
  }

  /**
   * Replaces the gradient and frees the old one. The new one belongs to this tensor from then on.
   * @throws AutogradError if it differs in shape, dtype or device, or this tensor is no leaf
   */
  set grad(value: Tensor | null) {
    this.#assertLive()
    if (value === this._grad) return
    if (value !== null) {
      const fits =
        value instanceof Tensor && !value.is_disposed && this.is_leaf && sameShape(value.shape, this.#shape)
      if (!fits || value.dtype !== this.#dtype || value.device !== this.device) {
        throw new AutogradError(`grad: expected null or a tensor like the leaf ${this}, got ${String(value)}`)
      }
      value._scope?.keep(value)
    }
    this._grad?.dispose()
    this._grad = value
  }

  /** Frees the gradient. */
  zero_grad(): void {
    this.grad = null
  }

  /**
   * Computes the gradients of all leaves that this tensor depends on, adds them to their `grad`, and frees the graph.
   * Sums are taken in the leaf's dtype, with one rounding for each addition.
   *
   * @param grad gradient of this tensor, of its shape, dtype and device. Default: 1, for a tensor of one element
   * @throws AutogradError for a graph that was freed, a missing or unfit gradient, or a saved tensor overwritten since
   */
  backward(grad?: Tensor | null, options: BackwardOptions = {}): void {
    this.#assertLive()
    runBackward(this, grad ?? undefined, options)
  }

  /** A view without history. */
  detach(): Tensor {
    return this._alias()
  }

  /** A view with another shape of as many elements; one size may be -1. `view(-1, 8, 128)` or `view([-1, 8, 128])`. */
  view(...sizes: number[] | [readonly number[]]): Tensor {
    return viewAs(this, sizes)
  }

  /** `length` entries of a dimension, from `start` on. A view along dimension 0, a copy along the others. */
  narrow(dim: number, start: number, length: number): Tensor {
    return narrow(this, dim, start, length)
  }

  /** The entries of a dimension that `index` names: a 1-D tensor of int32 or int64, or a list of integers. */
  index_select(dim: number, index: Tensor | readonly number[]): Tensor {
    return index_select(this, dim, index)
  }

  /**
   * Converts the dtype or moves to a device; floats round to nearest even, floats to integers truncate. Without a
   * change, a view.
   *
   * With `non_blocking`, a copy of pinned memory to a GPU goes on after the call. The memory must not be written before
   * it is over; it may be disposed of at any time.
   */
  to(
    target:
      | DType
      | Device
      | 'cuda'
      | {
          readonly dtype?: DType | undefined
          readonly device?: Device | 'cuda' | undefined
          readonly non_blocking?: boolean | undefined
        },
  ): Tensor {
    return convert(this, target)
  }

  /** A copy, with history. */
  clone(): Tensor {
    return clone(this)
  }

  /** Elementwise sum with a tensor of the same dtype, or a number; shapes broadcast. */
  add(other: Tensor | number): Tensor {
    return binary('add', this, other)
  }

  /** Elementwise difference. */
  sub(other: Tensor | number): Tensor {
    return binary('sub', this, other)
  }

  /** Elementwise product. */
  mul(other: Tensor | number): Tensor {
    return binary('mul', this, other)
  }

  /** Elementwise quotient of floats. */
  div(other: Tensor | number): Tensor {
    return binary('div', this, other)
  }

  neg(): Tensor {
    return negate(this)
  }

  /** `[..., m, k]` times `[k, n]` gives `[..., m, n]`, accumulated in float32 (float64 for float64) and rounded once. */
  matmul(other: Tensor): Tensor {
    return matmul(this, other)
  }

  /** Sum over one dimension, several, or, without any, all. int32 sums into int64. */
  sum(dim?: number | readonly number[] | null, keepdim = false): Tensor {
    return reduce('sum', this, dim, keepdim)
  }

  /** Mean of floats over one dimension, several, or, without any, all. */
  mean(dim?: number | readonly number[] | null, keepdim = false): Tensor {
    return reduce('mean', this, dim, keepdim)
  }

  /**
   * Overwrites the elements with those of a tensor of the same shape and dtype, from any device, or of a typed array as
   * `to_typed_array` gives it.
   *
   * @param non_blocking whether copies between pinned memory and a GPU may go on after the call. Default false. What they
   * write to pinned memory is there when the stream was waited for
   * @throws AutogradError for a tensor that requires a gradient, outside of no_grad: writing is not recorded
   */
  copy_(source: Tensor | TensorTypedArray, non_blocking = false): this {
    this.#assertLive()
    const recorded = this.requires_grad || (source instanceof Tensor && source.requires_grad)
    if (recorded && is_grad_enabled()) {
      throw new AutogradError(
        'copy_ is not recorded: call it inside no_grad, or on tensors without gradients.',
      )
    }
    copyInto(this, source, non_blocking)
    return this
  }

  /** The value of a tensor of one element. */
  item(): number {
    return readItem(this)
  }

  /** The values as nested arrays; a number for a scalar. */
  tolist(): NestedNumbers {
    return readNumbers(this)
  }

  /** A copy of the elements; bfloat16 and float16 as their bits, int64 as BigInt64Array. */
  to_typed_array(): TensorTypedArray {
    return readTypedArray(this)
  }

  /** A copy of the elements as float32. */
  to_float32_array(): Float32Array {
    return readFloat32(this)
  }

  /**
   * The elements of a CPU tensor themselves, without a copy. Writing through it is not seen by the tape. The memory is not reused for
   * other tensors afterwards, so the array stays readable even after the tensor is disposed.
   */
  typed_array(): TensorTypedArray {
    return viewTypedArray(this)
  }

  /** Same shape, dtype, device and values. NaN equals nothing. */
  equal(other: Tensor): boolean {
    if (!(other instanceof Tensor)) {
      throw new ArgumentError({ argument: 'other', expected: 'a Tensor', actual: other })
    }
    if (this.device !== other.device) {
      throw new DeviceError({ argument: 'other', expected: `a tensor on ${this.device}`, actual: other })
    }
    if (this.dtype !== other.dtype || !sameShape(this.shape, other.shape)) return false
    const wide = this.dtype === 'bfloat16' || this.dtype === 'float16'
    const [a, b] = wide
      ? [readFloat32(this), readFloat32(other)]
      : [readTypedArray(this), readTypedArray(other)]
    return a.every((value: number | bigint, i: number) => value === b[i])
  }

  /**
   * A copy in page-locked memory of the CPU, without history: copies between it and a GPU are faster, and can be
   * `non_blocking`. Of a pinned tensor, a view.
   *
   * @throws DeviceError unless this is a CPU tensor and the machine has a GPU
   */
  pin_memory(): Tensor {
    return pinMemory(this)
  }

  /** Whether the tensor lies in page-locked memory, as `pin_memory` makes it. */
  is_pinned(): boolean {
    return this._storage.memory instanceof PinnedMemory
  }

  /** Hands the memory to another library, without a copy. See `DLPackDescriptor`. */
  to_dlpack(): DLPackDescriptor {
    return exportDLPack(this)
  }

  /** Frees this handle, and the gradient with it. The memory goes back with the last handle. Again: no effect. */
  dispose(): void {
    this._dispose(null)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  toString(): string {
    const place = this.#isDisposed ? 'disposed' : this.#storage.device
    return `Tensor(${this.#dtype}, ${place})[${this.#shape.join(', ')}]`
  }

  /** What Node prints. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return inspectTensor(this)
  }

  /** @internal */
  get _storage(): Storage {
    this.#assertLive()
    return this.#storage
  }

  /** Alone on its whole storage, so that it may be handed on without a copy. @internal */
  get _ownsStorage(): boolean {
    return (
      this.#storage.isExclusive && this.numel() * dtypeInfo(this.#dtype).itemsize === this.#storage.nbytes
    )
  }

  /** Another handle on the same elements, without history. @internal */
  _alias(shape: Shape = this.shape): Tensor {
    return new Tensor(this._storage, this.#offset, shape, this.#dtype)
  }

  /** @internal */
  _setHistory(node: GraphNode, outputIndex: number): void {
    node.retain()
    this._gradFn = node
    this._outputIndex = outputIndex
  }

  /** @internal */
  _dispose(kept: ReadonlySet<Tensor> | null): void {
    if (this.#isDisposed) return
    this.#isDisposed = true
    this._scope?.keep(this)
    if (this._grad && !kept?.has(this._grad)) this._grad.dispose()
    this.#storage.release(this)
    uncountTensor(this)
    this._gradFn?.release()
    this._gradFn = null
    this._grad = null
  }

  #assertLive(): void {
    if (!this.#isDisposed) return
    throw new DisposedError({
      argument: 'tensor',
      expected: 'a tensor that was not disposed',
      actual: this,
      hint: 'It was freed by dispose(), using, tidy or a TensorScope; return it from tidy or keep() it.',
    })
  }
}
