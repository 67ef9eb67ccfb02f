import { cat, no_grad, type Tensor, tidy } from '@magi-attention/tensor'
import type { AttentionCall } from '../attention-call.js'
import type { Backend, BackwardTensors, ForwardTensors } from './backend.js'

/**
 * A backend for calls whose kv heads have masks of their own: a plan holds one mask, so it makes one call for each head.
 * Heads are copied out of the tensors, and results back into them.
 */
export function byKvHead(backend: Backend): Backend {
  return {
    forward(call, tensors) {
      no_grad(() => tidy(() => forwardByKvHead(backend, call, tensors)))
    },
    backward(call, tensors) {
      no_grad(() => tidy(() => backwardByKvHead(backend, call, tensors)))
    },
  }
}

function forwardByKvHead(backend: Backend, call: AttentionCall, tensors: ForwardTensors): void {
  const { q, k, v, sink, out, lse, maxLogits, accumulate } = tensors
  const parts = headCalls(call).map(({ part, queryHeads, kvHeads }) => {
    const results = {
      out: queryHeads(out),
      lse: queryHeads(lse),
      maxLogits: maxLogits === null ? null : queryHeads(maxLogits, 0).clone(),
    }
    const inputs = {
      q: queryHeads(q),
      k: kvHeads(k),
      v: kvHeads(v),
      sink: sink && queryHeads(sink, sink.ndim - 1),
    }
    backend.forward(part, { ...inputs, ...results, accumulate })
    return results
  })
  out.copy_(joinHeads(parts.map(part => part.out)))
  lse.copy_(joinHeads(parts.map(part => part.lse)))
  maxLogits?.copy_(cat(parts.map(part => part.maxLogits!)))
}

function backwardByKvHead(backend: Backend, call: AttentionCall, tensors: BackwardTensors): void {
  const { q, k, v, sink, out, lse, gradOut, gradQ, gradK, gradV, gradSink } = tensors
  const parts = headCalls(call).map(({ part, queryHeads, kvHeads }) => {
    const grads = {
      gradQ: queryHeads(gradQ),
      gradK: kvHeads(gradK),
      gradV: kvHeads(gradV),
      gradSink: gradSink && queryHeads(gradSink, gradSink.ndim - 1),
    }
    const inputs = {
      q: queryHeads(q),
      k: kvHeads(k),
      v: kvHeads(v),
      sink: sink && queryHeads(sink, sink.ndim - 1),
    }
    const results = { out: queryHeads(out), lse: queryHeads(lse), gradOut: queryHeads(gradOut) }
    backend.backward(part, { ...inputs, ...results, ...grads })
    return grads
  })
  gradQ.copy_(joinHeads(parts.map(part => part.gradQ)))
  gradK.copy_(joinHeads(parts.map(part => part.gradK)))
  gradV.copy_(joinHeads(parts.map(part => part.gradV)))
  gradSink?.copy_(
    joinHeads(
      parts.map(part => part.gradSink!),
      gradSink.ndim - 1,
    ),
  )
}

interface HeadCall {
  readonly part: AttentionCall
  /** A copy of the query heads of this call; along dimension 0 a view. */
  queryHeads(tensor: Tensor, dim?: number): Tensor
  /** A copy of its one kv head. */
  kvHeads(tensor: Tensor): Tensor
}

function headCalls(call: AttentionCall): HeadCall[] {
  const group = call.numHeadsQ / call.numHeadsKv
  return call.kvHeadBands!.map((bands, head) => ({
    part: { ...call, numHeadsQ: group, numHeadsKv: 1, bands, kvHeadBands: null },
    queryHeads: (tensor, dim = 1) => tensor.narrow(dim, head * group, group),
    kvHeads: tensor => tensor.narrow(1, head, 1),
  }))
}

function joinHeads(parts: readonly Tensor[], dim = 1): Tensor {
  return cat(parts, dim)
}
