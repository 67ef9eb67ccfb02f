import type { Tensor } from '@magi-attention/tensor'
import { type KeysOf, requireOptions } from '../check.js'
import { findRuntime } from '../runtime/runtime-dict.js'
import type { DistAttnRuntimeKey } from '../runtime/runtime-key.js'

export interface DispatchOptions {
  /** `[total_seqlen, …]`, any dtype, the same on every rank. */
  readonly x: Tensor
  readonly key: DistAttnRuntimeKey
  /** What padding tokens hold. Default 0. */
  readonly pad_value?: number | undefined
}

export interface UndispatchOptions {
  /** `[shard_seqlen, …]`, any dtype. */
  readonly x: Tensor
  readonly key: DistAttnRuntimeKey
  /**
   * Whether the gradients that come back on the ranks are parts of a sum. Default false: they are the same on every
   * rank, as after a loss that every rank computes over the whole sequence.
   */
  readonly is_partial_grad?: boolean | undefined
}

export interface RollOptions {
  /** `[shard_seqlen, …]`, any dtype; with `dim` the tokens lie along that dimension, as in `[batch, shard_seqlen]`. */
  readonly x: Tensor
  /** Tokens to roll by, positive towards larger positions; any integer. */
  readonly shift: number
  /** The dimension of the tokens, negative from the end. Default 0. */
  readonly dim?: number | undefined
  readonly key: DistAttnRuntimeKey
}

const dispatchKeys: KeysOf<DispatchOptions> = { x: true, key: true, pad_value: true }
const undispatchKeys: KeysOf<UndispatchOptions> = { x: true, key: true, is_partial_grad: true }
const rollKeys: KeysOf<RollOptions> = { x: true, shift: true, dim: true, key: true }

/**
 * Appends the padding of the key to a sequence, and takes this rank's chunks of it. Nothing is sent; backward gathers the
 * gradient of the whole sequence on every rank.
 *
 * @returns `[shard_seqlen, …]`
 * @throws ShapeError for another number of rows than the key's tokens, ArgumentError for a key that is not remembered
 */
export function dispatch(options: DispatchOptions): Tensor {
  requireOptions('dispatch', options, dispatchKeys)
  return findRuntime(options.key).dispatch_qo(options.x, options.pad_value)
}

/**
 * Gathers the chunks of all ranks, puts them in order and drops the padding: the inverse of `dispatch`. Every rank of the
 * group must call it.
 *
 * @returns `[total_seqlen, …]`, the same on every rank
 * @throws ShapeError for another number of rows than this rank's tokens, ArgumentError for a key that is not remembered,
 * CommError and its kind
 */
export function undispatch(options: UndispatchOptions): Tensor {
  requireOptions('undispatch', options, undispatchKeys)
  return findRuntime(options.key).undispatch_qo(options.x, options.is_partial_grad)
}

/**
 * Rolls a dispatched sequence, for instance for labels that are the next tokens: what `undispatch`, a cyclic shift and
 * `dispatch` would do to the padded sequence, so that tokens wrap through the padding. Rows go straight to the rank that
 * gets them. Every rank of the group must call it.
 *
 * @returns a tensor like `x`
 * @throws ShapeError unless `x` has this rank's tokens along `dim`; ArgumentError for a dimension that it does not have and a
 * key that is not remembered; CommError and its kind
 */
export function roll(options: RollOptions): Tensor {
  requireOptions('roll', options, rollKeys)
  return findRuntime(options.key).roll(options.x, options.shift, options.dim)
}

/** The same result as `roll`, by way of the whole sequence on every rank. */
export function roll_simple(options: RollOptions): Tensor {
  requireOptions('roll_simple', options, rollKeys)
  return findRuntime(options.key).roll_simple(options.x, options.shift, options.dim)
}

/**
 * Position in the whole sequence of each token of this rank, for position embeddings. Padding tokens have the last
 * position of a query that attends to something.
 *
 * @returns int32 `[shard_seqlen]`
 * @throws ArgumentError for a key that is not remembered
 */
export function get_position_ids(key: DistAttnRuntimeKey): Tensor {
  return findRuntime(key).get_position_ids()
}
