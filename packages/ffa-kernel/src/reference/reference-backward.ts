import type { AttentionBackward, AttentionForward, AttentionProblem } from './attention-problem.js'
import { computeLogits, kvHeadOf, sinkIndex } from './reference-forward.js'
import { rowIntervalsByKvHead } from './row-intervals.js'
import { addOuterProducts, addWeightedRows, BLOCK_ROWS, dotWithRows } from './row-products.js'

/**
 * Gradients of attention in float64, given the gradient of its output `[totalQ, numHeadsQ, headDim]` and the out and lse
 * of the forward pass (FlashAttention, Dao et al. 2022, appendix B.2):
 *
 *     P_ij = exp(s_ij - lse_i)   Δ_i = out_i · dOut_i   dV = Pᵀ dOut   dP = dOut Vᵀ   dS = P ∘ (dP - Δ)
 *     dQ = softmaxScale * dS K   dK = softmaxScale * dSᵀ Q   dsink_t = -Σ_i exp(sink_t - lse_i) Δ_i
 *
 * With softcap c, dS is multiplied by `1 - (s_ij / c)²`, where s_ij is the capped logit.
 */
export function referenceBackward(
  problem: AttentionProblem,
  gradOut: Float64Array,
  forward: Pick<AttentionForward, 'out' | 'lse'>,
): AttentionBackward {
  const { totalQ, totalK, numHeadsQ, numHeadsKv, headDim, softmaxScale, softcap, sink, sinkTokens } = problem
  const rowsByKvHead = rowIntervalsByKvHead(problem)
  const dq = new Float64Array(problem.q.length)
  const dk = new Float64Array(problem.k.length)
  const dv = new Float64Array(problem.v.length)
  const dsink = sink === null ? null : new Float64Array(sink.length)
  const scratch = new Float64Array(totalK)
  // P and dS of a few rows, by key; 0 wherever a row does not attend.
  const p = Array.from({ length: BLOCK_ROWS }, () => new Float64Array(totalK))
  const ds = Array.from({ length: BLOCK_ROWS }, () => new Float64Array(totalK))

  for (let head = 0; head < numHeadsQ; head++) {
    const kvHead = kvHeadOf(problem, head)
    const kv = { offset: kvHead * headDim, stride: numHeadsKv * headDim }
    for (let first = 0; first < totalQ; first += BLOCK_ROWS) {
      const block = { offset: (first * numHeadsQ + head) * headDim, stride: numHeadsQ * headDim }
      const count = Math.min(BLOCK_ROWS, totalQ - first)
      let begin = totalK
      let end = 0
      for (let r = 0; r < count; r++) {
        const intervals = rowsByKvHead[kvHead]![first + r]!
        if (!backwardRow(head, first + r, intervals, p[r]!, ds[r]!)) continue
        begin = Math.min(begin, intervals[0] ?? totalK)
        end = Math.max(end, intervals.at(-1) ?? 0)
      }
      if (begin >= end) continue
      addOuterProducts({ data: dk, ...kv }, ds, { data: problem.q, ...block }, count, begin, end, headDim)
      addOuterProducts({ data: dv, ...kv }, p, { data: gradOut, ...block }, count, begin, end, headDim)
      for (const row of [...p, ...ds]) row.fill(0, begin, end)
    }
  }
  return { dq, dk, dv, dsink }

  /** Fills a row of P and dS, and adds to dq and dsink. False for a row with lse -Infinity, which has no gradient. */
  function backwardRow(
    head: number,
    row: number,
    intervals: readonly number[],
    pRow: Float64Array,
    dsRow: Float64Array,
  ): boolean {
    const lse = forward.lse[row * numHeadsQ + head]!
    if (lse === Number.NEGATIVE_INFINITY) return false
    const offset = (row * numHeadsQ + head) * headDim
    const kv = { offset: kvHeadOf(problem, head) * headDim, stride: numHeadsKv * headDim }
    const delta = dot(forward.out, gradOut, offset, headDim)
    if (sink !== null && dsink !== null) {
      for (let token = 0; token < sinkTokens; token++) {
        const index = sinkIndex(problem, head, row, token)
        dsink[index]! -= Math.exp(sink[index]! - lse) * delta
      }
    }

    computeLogits(problem, head, row, intervals, scratch)
    let done = 0
    for (let n = 0; n < intervals.length; n += 2) {
      const begin = intervals[n]!
      const end = intervals[n + 1]!
      const dpRow = dsRow.subarray(begin)
      dotWithRows({ data: gradOut, offset }, { data: problem.v, ...kv }, begin, end, headDim, dpRow)
      for (let j = begin; j < end; j++) {
        const logit = scratch[done++]!
        const slope = softcap > 0 ? 1 - (logit / softcap) ** 2 : 1
        pRow[j] = Math.exp(logit - lse)
        dsRow[j] = softmaxScale * slope * pRow[j]! * (dsRow[j]! - delta)
      }
      addWeightedRows({ data: dq, offset }, dpRow, { data: problem.k, ...kv }, begin, end, headDim)
    }
    return true
  }
}

function dot(a: Float64Array, b: Float64Array, offset: number, dim: number): number {
  let sum = 0
  for (let d = 0; d < dim; d++) sum += a[offset + d]! * b[offset + d]!
  return sum
}
