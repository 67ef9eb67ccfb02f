import { all_reduce, type WorkWithPostProcessFn } from '@magi-attention/comm'
import type { AttnArg } from '@magi-attention/dispatch'
import { type AttnGrads, flex_flash_attn_backward } from '@magi-attention/ffa-kernel'
import { type Tensor, zeros } from '@magi-attention/tensor'
import type { RuntimeSwitches } from '../env.js'
import { joinKeys, stagesOf } from './forward.js'
import { RemoteKeys, reduceStage } from './key-exchange.js'
import { accumulationDType, type DistAttnPart, type KeyValue, maskOf, type Scores } from './stage.js'

export interface DistBackwardInputs extends KeyValue {
  readonly q: Tensor
  readonly sink: Tensor | null
  /** Of all stages together, as is `lse`: gradients of the stages then simply add up. */
  readonly out: Tensor
  readonly lse: Tensor
  readonly gradOut: Tensor
  /** Keys and values of the last stage, if forward kept them: backward begins with that stage then. */
  readonly tail: KeyValue | null
}

export interface DistBackwardOptions {
  readonly scores: Scores
  readonly switches: RuntimeSwitches
}

/**
 * The gradients of a rank's own q, k, v and of the sink, in their dtypes. The keys of other ranks are asked for again,
 * instead of kept since forward. Runs in the scope of the tape, which frees what is not returned.
 */
export function distBackward(
  part: DistAttnPart,
  inputs: DistBackwardInputs,
  options: DistBackwardOptions,
): AttnGrads {
  const { overlap_degree, no_overlap } = part.plan.calc_meta
  const grads =
    overlap_degree === 0 || no_overlap
      ? backwardAtOnce(part, inputs, options)
      : backwardByStages(part, inputs, options)
  const { dsinkAllReduceOp } = options.switches
  if (grads.grad_sink && dsinkAllReduceOp !== 'none') {
    all_reduce(grads.grad_sink, { op: dsinkAllReduceOp, group: part.group })
  }
  const { dtype } = inputs.q
  return {
    grad_q: grads.grad_q.to(dtype),
    grad_k: grads.grad_k.to(dtype),
    grad_v: grads.grad_v.to(dtype),
    grad_sink: grads.grad_sink,
  }
}

/** Backward of one kernel call, into the dtype in which gradients add up. */
function backwardOf(
  arg: AttnArg,
  keys: KeyValue,
  inputs: DistBackwardInputs,
  { scores }: DistBackwardOptions,
  sink: Tensor | null,
): AttnGrads {
  const { q, out, lse, gradOut } = inputs
  return flex_flash_attn_backward({
    q,
    ...keys,
    ...maskOf(arg),
    ...scores,
    sink,
    out,
    lse,
    grad_out: gradOut,
    grad_dtype: accumulationDType(q.dtype),
  })
}

function backwardAtOnce(
  part: DistAttnPart,
  inputs: DistBackwardInputs,
  options: DistBackwardOptions,
): AttnGrads {
  const { merged_attn_arg, local_attn_arg, seqlen_k_local, seqlen_k_per_remote_stage } = part.plan.calc_meta
  const all = joinKeys(part, { k: inputs.k, v: inputs.v }, options.switches)
  const grads = backwardOf(merged_attn_arg ?? local_attn_arg, all, inputs, options, inputs.sink)
  const rows = (start: number, length: number): KeyValue => ({
    k: grads.grad_k.narrow(0, start, length),
    v: grads.grad_v.narrow(0, start, length),
  })
  const own = rows(0, seqlen_k_local)
  let start = seqlen_k_local
  for (const stage of stagesOf(part)) {
    const length = seqlen_k_per_remote_stage[stage]!
    reduceStage(part, rows(start, length), own, stage, wireDType(inputs, options)).wait_post_process()
    start += length
  }
  return { ...grads, grad_k: own.k, grad_v: own.v }
}

function wireDType({ q }: DistBackwardInputs, { switches }: DistBackwardOptions) {
  return switches.backwardHighPrecisionReduce ? accumulationDType(q.dtype) : q.dtype
}

function backwardByStages(
  part: DistAttnPart,
  inputs: DistBackwardInputs,
  options: DistBackwardOptions,
): AttnGrads {
  const { calc_meta } = part.plan
  const { k, v, tail } = inputs
  const own = { k, v }
  const last = calc_meta.overlap_degree - 1
  const stages = tail ? [last, ...stagesOf(part).slice(0, last)] : stagesOf(part)
  const isStageByStage = options.switches.cudaDeviceMaxConnections === 1
  const asked = tail ? stages.slice(1) : stages
  const remote = new RemoteKeys(part, own, asked, isStageByStage)
  const backwardOnHost = () => backwardOf(calc_meta.local_attn_arg, own, inputs, options, inputs.sink)

  const host = tail ? null : backwardOnHost()
  const zerosLike = (x: Tensor) => zeros(x.shape, { dtype: accumulationDType(x.dtype), device: x.device })
  const into: KeyValue = host ? { k: host.grad_k, v: host.grad_v } : { k: zerosLike(k), v: zerosLike(v) }
  let gradQ = host?.grad_q ?? null
  const addToQ = (more: Tensor) => {
    const before = gradQ
    gradQ = before === null ? more : before.add(more)
    before?.dispose()
  }

  const works: WorkWithPostProcessFn<unknown>[] = []
  for (const stage of stages) {
    const keys = tail && stage === last ? tail : remote.take(stage)
    const arg = calc_meta.remote_attn_args_list[stage]!
    let gradKeys: KeyValue
    if (arg.can_skip(true)) {
      gradKeys = { k: zerosLike(keys.k), v: zerosLike(keys.v) }
    } else {
      const { grad_q, grad_k, grad_v } = backwardOf(arg, keys, inputs, options, null)
      addToQ(grad_q)
      gradKeys = { k: grad_k, v: grad_v }
    }
    works.push(reduceStage(part, gradKeys, into, stage, wireDType(inputs, options)))
    // What is on its way holds its memory itself.
    for (const done of [keys, gradKeys]) {
      done.k.dispose()
      done.v.dispose()
    }
  }

  const atEnd = host ?? backwardOnHost()
  if (!host) addToQ(atEnd.grad_q)
  for (const work of works) work.wait_post_process()
  return {
    grad_q: gradQ!,
    grad_k: host ? into.k : atEnd.grad_k.add(into.k),
    grad_v: host ? into.v : atEnd.grad_v.add(into.v),
    grad_sink: atEnd.grad_sink,
  }
}
