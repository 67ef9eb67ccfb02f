import type { AttentionForward, AttentionProblem } from './attention-problem.js'
import { rowIntervalsByKvHead } from './row-intervals.js'
import { addWeightedRows, dotWithRows } from './row-products.js'

/**
 * Exact attention in float64, row by row:
 *
 *     s_ij = softmaxScale * q_i · k_j           (softcap c > 0: c * tanh(s_ij / c))
 *     lse_i = log(Σ_j exp(s_ij) + Σ_t exp(sink_t))
 *     out_i = Σ_j exp(s_ij - lse_i) * v_j
 *
 * over the keys j that the mask gives to row i. A row without keys has out 0 and lse `log Σ_t exp(sink_t)`, -Infinity
 * without sinks.
 */
export function referenceForward(problem: AttentionProblem): AttentionForward {
  const { totalQ, totalK, numHeadsQ, numHeadsKv, headDim } = problem
  const rowsByKvHead = rowIntervalsByKvHead(problem)
  const out = new Float64Array(totalQ * numHeadsQ * headDim)
  const lse = new Float64Array(totalQ * numHeadsQ)
  const maxLogits = new Float64Array(numHeadsQ).fill(Number.NEGATIVE_INFINITY)
  const logits = new Float64Array(totalK)

  for (let head = 0; head < numHeadsQ; head++) {
    const kvHead = kvHeadOf(problem, head)
    const rows = rowsByKvHead[kvHead]!
    const v = { data: problem.v, offset: kvHead * headDim, stride: numHeadsKv * headDim }
    for (let i = 0; i < totalQ; i++) {
      const intervals = rows[i]!
      const count = computeLogits(problem, head, i, intervals, logits)
      const sinks = sinksOf(problem, head, i)

      const rowMax = maximum(logits, count)
      maxLogits[head] = Math.max(maxLogits[head]!, rowMax)
      const reference = Math.max(rowMax, ...sinks)
      let sum = 0
      for (let j = 0; j < count; j++) {
        const p = Math.exp(logits[j]! - reference)
        logits[j] = p
        sum += p
      }
      for (const sink of sinks) {
        // Equal infinities would give NaN: a sink of -Infinity counts for nothing.
        if (sink !== Number.NEGATIVE_INFINITY) sum += Math.exp(sink - reference)
      }

      lse[i * numHeadsQ + head] = sum === 0 ? Number.NEGATIVE_INFINITY : reference + Math.log(sum)
      const outRow = { data: out, offset: (i * numHeadsQ + head) * headDim }
      for (let j = 0; j < count; j++) logits[j]! /= sum
      let done = 0
      for (let n = 0; n < intervals.length; n += 2) {
        const begin = intervals[n]!
        const end = intervals[n + 1]!
        addWeightedRows(outRow, logits.subarray(done), v, begin, end, headDim)
        done += end - begin
      }
    }
  }
  return { out, lse, maxLogits }
}

/** Fills `logits` with the scaled and capped logits of a row's keys, packed, and returns how many there are. */
export function computeLogits(
  problem: AttentionProblem,
  head: number,
  row: number,
  intervals: readonly number[],
  logits: Float64Array,
): number {
  const { numHeadsQ, numHeadsKv, headDim, softmaxScale, softcap } = problem
  const q = { data: problem.q, offset: (row * numHeadsQ + head) * headDim }
  const k = { data: problem.k, offset: kvHeadOf(problem, head) * headDim, stride: numHeadsKv * headDim }
  let count = 0
  for (let n = 0; n < intervals.length; n += 2) {
    const begin = intervals[n]!
    const end = intervals[n + 1]!
    dotWithRows(q, k, begin, end, headDim, logits.subarray(count))
    count += end - begin
  }
  for (let j = 0; j < count; j++) {
    const logit = softmaxScale * logits[j]!
    logits[j] = softcap > 0 ? softcap * Math.tanh(logit / softcap) : logit
  }
  return count
}

export function kvHeadOf(problem: AttentionProblem, head: number): number {
  return Math.floor((head * problem.numHeadsKv) / problem.numHeadsQ)
}

/** Where token t of a row's sinks lies in the sink array. */
export function sinkIndex(problem: AttentionProblem, head: number, row: number, token: number): number {
  const { sinkLayout, sinkTokens, numHeadsQ } = problem
  return ((sinkLayout === 'ssh' ? row * sinkTokens : 0) + token) * numHeadsQ + head
}

function sinksOf(problem: AttentionProblem, head: number, row: number): number[] {
  const { sink, sinkTokens } = problem
  if (sink === null) return []
  return Array.from({ length: sinkTokens }, (_, token) => sink[sinkIndex(problem, head, row, token)]!)
}

function maximum(values: Float64Array, count: number): number {
  let max = Number.NEGATIVE_INFINITY
  for (let j = 0; j < count; j++) max = Math.max(max, values[j]!)
  return max
}
