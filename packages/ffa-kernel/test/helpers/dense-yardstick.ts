import type { AttentionBackward, AttentionProblem } from '../../src/reference/attention-problem.js'
import { referenceForward } from '../../src/reference/reference-forward.js'
import { rowIntervalsByKvHead } from '../../src/reference/row-intervals.js'
import type { Rounding } from './rounding.js'

export interface YardstickResult extends AttentionBackward {
  readonly out: Float64Array
}

/**
 * Attention as a plain dense implementation in low precision computes it: exact inputs, P and dS rounded to the dtype before
 * they are multiplied, sums exact, results rounded. A kernel is judged by how far it is from the reference, compared with
 * this.
 */
export function denseYardstick(
  problem: AttentionProblem,
  gradOut: Float64Array,
  round: Rounding,
): YardstickResult {
  const { totalQ, numHeadsQ, numHeadsKv, headDim, softmaxScale, softcap, sink, sinkTokens } = problem
  const { lse } = referenceForward(problem)
  const out = new Float64Array(problem.q.length)
  const dq = new Float64Array(problem.q.length)
  const dk = new Float64Array(problem.k.length)
  const dv = new Float64Array(problem.v.length)
  const dsink = sink === null ? null : new Float64Array(sink.length)
  const rowsByKvHead = rowIntervalsByKvHead(problem)

  for (let head = 0; head < numHeadsQ; head++) {
    const kvHead = Math.floor(head / (numHeadsQ / numHeadsKv))
    const rows = rowsByKvHead[kvHead]!
    for (let i = 0; i < totalQ; i++) {
      const at = (i * numHeadsQ + head) * headDim
      const rowLse = lse[i * numHeadsQ + head]!
      if (rowLse === Number.NEGATIVE_INFINITY) continue
      const cells: { readonly kv: number; readonly p: number; readonly slope: number }[] = []
      const intervals = rows[i]!
      for (let n = 0; n < intervals.length; n += 2) {
        for (let j = intervals[n]!; j < intervals[n + 1]!; j++) {
          const kv = (j * numHeadsKv + kvHead) * headDim
          let logit = softmaxScale * dot(problem.q, at, problem.k, kv, headDim)
          const tanh = softcap > 0 ? Math.tanh(logit / softcap) : 0
          if (softcap > 0) logit = softcap * tanh
          const p = Math.exp(logit - rowLse)
          cells.push({ kv, p, slope: 1 - tanh * tanh })
          for (let d = 0; d < headDim; d++) out[at + d]! += round(p) * problem.v[kv + d]!
        }
      }
      for (let d = 0; d < headDim; d++) out[at + d] = round(out[at + d]!)

      const delta = dot(out, at, gradOut, at, headDim)
      for (let t = 0; t < sinkTokens && sink !== null && dsink !== null; t++) {
        const index = ((problem.sinkLayout === 'ssh' ? i * sinkTokens : 0) + t) * numHeadsQ + head
        dsink[index]! -= Math.exp(sink[index]! - rowLse) * delta
      }
      for (const { kv, p, slope } of cells) {
        const ds = round(p * slope * (dot(gradOut, at, problem.v, kv, headDim) - delta))
        for (let d = 0; d < headDim; d++) {
          dq[at + d]! += softmaxScale * ds * problem.k[kv + d]!
          dk[kv + d]! += softmaxScale * ds * problem.q[at + d]!
          dv[kv + d]! += round(p) * gradOut[at + d]!
        }
      }
    }
  }
  return { out, dq: dq.map(round), dk: dk.map(round), dv: dv.map(round), dsink }
}

function dot(a: Float64Array, aAt: number, b: Float64Array, bAt: number, dim: number): number {
  let sum = 0
  for (let d = 0; d < dim; d++) sum += a[aAt + d]! * b[bAt + d]!
  return sum
}
