import { AttnMaskType } from '../attn-mask-type.js'
import { checkInteger } from '../attn-range.js'
import type { AttnRanges } from '../attn-ranges.js'
import { ArgumentError } from '../errors/index.js'
import { SliceList } from './slice-list.js'
import { addSlidingWindow, isUnlimited } from './sliding-window.js'
import { requireOptions, requireWindowSize } from './validate.js'

export interface InferAttnMaskFromCuSeqlensOptions {
  /** Cumulative query lengths, shape `[batch_size + 1]`, from 0, not decreasing. */
  cu_seqlens_q: readonly number[] | Int32Array
  /** Cumulative key lengths, same shape as `cu_seqlens_q`. */
  cu_seqlens_k: readonly number[] | Int32Array
  /** Causal samples instead of full ones. Default false. Not together with a window. */
  causal?: boolean | undefined
  /** Keys to the left and right of a row's centre, -1 for unlimited. Default `[-1, -1]`: no window. */
  window_size?: readonly [left: number, right: number] | undefined
  /** Leading keys of each sample that every row may see beside its window. Default 0. Needs a window. */
  global_window_size?: number | undefined
}

/** The mask of a packed batch, and its totals in tokens. */
export type InferredVarlenMask = [
  q_ranges: AttnRanges,
  k_ranges: AttnRanges,
  attn_mask_type: AttnMaskType[],
  total_seqlen_q: number,
  total_seqlen_k: number,
]

/**
 * The slices of a packed (varlen) batch: samples do not see each other.
 *
 * Without a window each sample gives one slice, causal or full, and `global_window_size` has no effect. With
 * a window of `[left, right]` and `G = min(global_window_size, sk)`, row `i` of a sample with `sq` queries
 * and `sk` keys (both counted within the sample) sees
 * - the global keys `[0, min(G, i + right + 1))`, and
 * - of the others, `[G, sk)`, those in the sliding window around its centre `c = i + (sk - sq)`.
 *
 * Per sample come the global slices, then the window of the rows that have a local key as their centre, then
 * the rows before those whose window still reaches local keys, so the query ranges are not sorted. Every
 * attended cell is in exactly one slice. With `G = 0` rows without a centre (`c < 0`) see nothing.
 *
 * For `sq == sk` the slices are those of MagiAttention. For `sq != sk` MagiAttention measures the last group
 * as if query and key numbers were the same; here the centre above is used, so that the stated rule holds for
 * every shape.
 *
 * @throws {@link ArgumentError} for lengths that do not start at 0 or that decrease, lists of different length,
 * a window beside `causal`, or a negative global window.
 */
export function infer_attn_mask_from_cu_seqlens(
  options: InferAttnMaskFromCuSeqlensOptions,
): InferredVarlenMask {
  requireOptions('infer_attn_mask_from_cu_seqlens', options)
  const { causal = false, window_size: windowSize = [-1, -1] } = options
  const cuQ = requireCuSeqlens('cu_seqlens_q', options.cu_seqlens_q)
  const cuK = requireCuSeqlens('cu_seqlens_k', options.cu_seqlens_k)
  const window = requireWindowSize(windowSize)
  const globalSize = checkInteger(options.global_window_size ?? 0, 'global_window_size', 0)
  const hasWindow = window[0] !== -1 || window[1] !== -1
  if (typeof causal !== 'boolean') {
    throw new ArgumentError({ argument: 'causal', expected: 'a boolean', actual: causal })
  }
  if (causal && hasWindow) {
    throw new ArgumentError({
      argument: 'causal',
      expected: 'false beside a window_size other than [-1, -1]',
      actual: causal,
      hint: 'For a causal window pass window_size: [left, 0] and causal: false.',
    })
  }
  if (cuQ.length !== cuK.length) {
    throw new ArgumentError({
      argument: 'cu_seqlens_k',
      expected: `${cuQ.length} items, as many as cu_seqlens_q`,
      actual: `${cuK.length} items`,
    })
  }

  const slices = new SliceList()
  for (let sample = 0; sample + 1 < cuQ.length; sample++) {
    const q = { start: cuQ[sample]!, end: cuQ[sample + 1]! }
    const k = { start: cuK[sample]!, end: cuK[sample + 1]! }
    if (hasWindow) addWindowedSample(slices, q, k, window, globalSize)
    else slices.addAlways(q.start, q.end, k.start, k.end, causal ? AttnMaskType.CAUSAL : AttnMaskType.FULL)
  }
  return [...slices.toMask(), cuQ.at(-1)!, cuK.at(-1)!]
}

interface Bounds {
  readonly start: number
  readonly end: number
}

function addWindowedSample(
  slices: SliceList,
  q: Bounds,
  k: Bounds,
  window: readonly [number, number],
  globalSize: number,
): void {
  const sk = k.end - k.start
  const numGlobal = Math.min(globalSize, sk)
  const right = isUnlimited(window[1], sk) ? Number.POSITIVE_INFINITY : window[1]
  const localStart = k.start + numGlobal
  addGlobalKeys(slices, q, k.start, numGlobal, right)
  addSlidingWindow(slices, q, { start: localStart, end: k.end }, window)
  if (numGlobal > 0) addReachingRows(slices, q, k, localStart, right)
}

/** Row `i` sees the first `min(numGlobal, i + right + 1)` keys. */
function addGlobalKeys(
  slices: SliceList,
  q: Bounds,
  keyStart: number,
  numGlobal: number,
  right: number,
): void {
  const growing = Math.min(Math.max(0, numGlobal - right - 1), q.end - q.start)
  const steady = q.start + growing
  slices.add(q.start, steady, keyStart, keyStart + growing + right, AttnMaskType.CAUSAL)
  slices.add(steady, q.end, keyStart, keyStart + numGlobal, AttnMaskType.FULL)
}

/**
 * Rows centred before `localStart` have no place in the window of the local keys, yet the right side of
 * theirs may reach some: row by row one key more, until it has them all.
 */
function addReachingRows(slices: SliceList, q: Bounds, k: Bounds, localStart: number, right: number): void {
  const numLocal = k.end - localStart
  const end = q.end - numLocal
  const begin = Math.max(q.start, end - right)
  if (right === 0 || begin >= end || numLocal === 0) return
  const firstReach = right - (end - begin) + 1
  const growing = Math.min(end - begin, Math.max(0, numLocal - firstReach))
  const steady = begin + growing
  slices.add(begin, steady, localStart, localStart + growing + firstReach - 1, AttnMaskType.CAUSAL)
  slices.add(steady, end, localStart, k.end, AttnMaskType.FULL)
}

function requireCuSeqlens(argument: string, value: readonly number[] | Int32Array): number[] {
  const isList = Array.isArray(value) || value instanceof Int32Array
  const list: number[] = isList ? Array.from(value) : []
  if (list.length === 0 || list[0] !== 0) {
    throw new ArgumentError({
      argument,
      expected: 'a list or Int32Array of cumulative lengths that starts with 0',
      actual: value,
    })
  }
  for (const [i, length] of list.entries()) {
    checkInteger(length, `${argument}[${i}]`, list[i - 1] ?? 0)
  }
  return list
}
