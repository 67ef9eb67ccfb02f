import { all_reduce } from '@magi-attention/comm'
import {
  type AttnForwardMeta,
  type AttnGrads,
  flex_flash_attn_backward,
  flex_flash_attn_forward,
} from '@magi-attention/ffa-kernel'
import {
  apply_function,
  type CustomFunction,
  cat,
  full,
  type Tensor,
  tidy,
  zeros,
} from '@magi-attention/tensor'
import type { RuntimeSwitches } from '../env.js'
import { raiseTo } from './forward.js'
import {
  askForRows,
  keyRoute,
  type QoAttnPart,
  queryRoute,
  returnGradients,
  returnOutputs,
} from './qo-exchange.js'
import { accumulationDType, maskOf, type Scores } from './stage.js'

export interface QoAttnFuncOptions {
  readonly part: QoAttnPart
  readonly scores: Scores
  readonly returnMaxLogits: boolean
  readonly switches: RuntimeSwitches
}

type Inputs = readonly [q: Tensor, k: Tensor, v: Tensor, sink: Tensor | null]

/**
 * Own queries see own keys, and the sink, while rows of others are fetched. Then `[own; fetched]` queries see
 * `[own; fetched]` keys, merged into that, and what was found for fetched queries goes back to be merged by lse.
 */
function forward([q, k, v, sink]: Inputs, options: QoAttnFuncOptions): Tensor[] {
  const { part, scores, switches, returnMaxLogits: return_max_logits } = options
  const { local_attn_arg, remote_attn_arg, seqlen_q_local, seqlen_q_remote } = part.plan.calc_meta
  const remoteKeys = askForRows(part, keyRoute(part), [k, v])
  const remoteQueries = askForRows(part, queryRoute(part), [q])
  const out_dtype = accumulationDType(q.dtype)
  const [localOut, localMeta] = flex_flash_attn_forward({
    q,
    k,
    v,
    ...maskOf(local_attn_arg),
    ...scores,
    sink,
    return_max_logits,
    out_dtype,
  })
  const [k2, v2] = remoteKeys() as [Tensor, Tensor]
  const [q2] = remoteQueries() as [Tensor]
  const nothing = zeros([seqlen_q_remote, ...q.shape.slice(1)], { dtype: out_dtype })
  const out = cat([localOut, nothing])
  const lse = cat([localMeta.lse, full([seqlen_q_remote, q.shape[1]!], Number.NEGATIVE_INFINITY)])
  const [, { max_logits: remoteMax }] = flex_flash_attn_forward({
    q: cat([q, q2]),
    k: cat([k, k2]),
    v: cat([v, v2]),
    ...maskOf(remote_attn_arg),
    ...scores,
    return_max_logits,
    out,
    lse,
  })
  const rows = (start: number, length: number) => ({
    out: out.narrow(0, start, length),
    lse: lse.narrow(0, start, length),
  })
  const own = rows(0, seqlen_q_local)
  const wireDType = switches.forwardHighPrecisionReduce ? out_dtype : q.dtype
  returnOutputs(part, rows(seqlen_q_local, seqlen_q_remote), own, wireDType)
  const results = [own.out.to(q.dtype), own.lse.clone()]
  if (!localMeta.max_logits || !remoteMax) return results
  raiseTo(localMeta.max_logits, remoteMax)
  all_reduce(localMeta.max_logits, { op: 'max', group: part.group })
  return [...results, localMeta.max_logits]
}

interface BackwardInputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly out: Tensor
  readonly lse: Tensor
  readonly sink: Tensor | null
  readonly gradOut: Tensor
}

function backward(inputs: BackwardInputs, { part, scores, switches }: QoAttnFuncOptions): AttnGrads {
  const { q, k, v, out, lse, sink, gradOut } = inputs
  const { local_attn_arg, remote_attn_arg, ...sizes } = part.plan.calc_meta
  const remoteKeys = askForRows(part, keyRoute(part), [k, v])
  const remoteQueries = askForRows(part, queryRoute(part), [q, out, gradOut], lse)
  const shared = { ...scores, grad_dtype: accumulationDType(q.dtype) }
  const local = flex_flash_attn_backward({
    q,
    k,
    v,
    sink,
    out,
    lse,
    grad_out: gradOut,
    ...maskOf(local_attn_arg),
    ...shared,
  })
  const [k2, v2] = remoteKeys() as [Tensor, Tensor]
  const [q2, out2, gradOut2, lse2] = remoteQueries() as [Tensor, Tensor, Tensor, Tensor]
  const remote = flex_flash_attn_backward({
    q: cat([q, q2]),
    k: cat([k, k2]),
    v: cat([v, v2]),
    out: cat([out, out2]),
    lse: cat([lse, lse2]),
    grad_out: cat([gradOut, gradOut2]),
    ...maskOf(remote_attn_arg),
    ...shared,
  })
  const ofQueries = (x: Tensor) => x.narrow(0, sizes.seqlen_q_local, sizes.seqlen_q_remote)
  const ofKeys = (x: Tensor) => x.narrow(0, sizes.seqlen_k_local, sizes.seqlen_k_remote)
  const dq = local.grad_q.add(remote.grad_q.narrow(0, 0, sizes.seqlen_q_local))
  const dk = local.grad_k.add(remote.grad_k.narrow(0, 0, sizes.seqlen_k_local))
  const dv = local.grad_v.add(remote.grad_v.narrow(0, 0, sizes.seqlen_k_local))
  const wireDType = switches.backwardHighPrecisionReduce ? shared.grad_dtype : q.dtype
  const waits = [
    returnGradients(
      part,
      keyRoute(part),
      [ofKeys(remote.grad_k), ofKeys(remote.grad_v)],
      [dk, dv],
      wireDType,
    ),
    returnGradients(part, queryRoute(part), [ofQueries(remote.grad_q)], [dq], wireDType),
  ]
  for (const wait of waits) wait()
  const { grad_sink } = local
  const { dsinkAllReduceOp } = switches
  if (grad_sink && dsinkAllReduceOp !== 'none')
    all_reduce(grad_sink, { op: dsinkAllReduceOp, group: part.group })
  return { grad_q: dq.to(q.dtype), grad_k: dk.to(q.dtype), grad_v: dv.to(q.dtype), grad_sink }
}

const qoAttnFunction: CustomFunction<QoAttnFuncOptions, Inputs> = {
  name: 'calc_attn',

  forward(ctx, inputs, options) {
    const [q, k, v, sink] = inputs
    const results = tidy(() => forward(inputs, options))
    const [out, lse, maxLogits] = results as [Tensor, Tensor, Tensor?]
    ctx.save_for_backward(q, k, v, out, lse, ...(sink ? [sink] : []))
    ctx.mark_non_differentiable(lse, ...(maxLogits ? [maxLogits] : []))
    return results
  },

  backward(ctx, [gradOut], options) {
    if (!gradOut) return [null, null, null, null]
    const [q, k, v, out, lse, sink = null] = ctx.saved_tensors as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor?,
    ]
    const grads = backward({ q, k, v, out, lse, sink, gradOut }, options)
    return [grads.grad_q, grads.grad_k, grads.grad_v, grads.grad_sink]
  },
}

/** Attention by a plan in which queries and outputs travel beside keys, on the tape. Arguments are checked already. */
export function qoAttnFunc(inputs: Inputs, options: QoAttnFuncOptions): [out: Tensor, meta: AttnForwardMeta] {
  const [out, lse, maxLogits = null] = apply_function(qoAttnFunction, inputs, options) as [
    Tensor,
    Tensor,
    Tensor?,
  ]
  return [out, { lse, max_logits: maxLogits }]
}
