import { all_reduce, type WorkWithPostProcessFn } from '@magi-attention/comm'
import { type AttnGrads, flex_flash_attn_backward } from '@magi-attention/ffa-kernel'
import { type Tensor, zeros } from '@magi-attention/tensor'
import type { RuntimeSwitches } from '../env.js'
import type { KernelCall } from './kernel-calls.js'
import { CallKeys, reduceStage, rowsOfStage } from './key-exchange.js'
import { accumulationDType, type DistAttnPart, type KeyValue, maskOf, rowsOf, type Scores } from './stage.js'

export interface DistBackwardInputs extends KeyValue {
  readonly q: Tensor
  readonly sink: Tensor | null
  /** Of all stages together, as is `lse`: gradients of the stages then simply add up. */
  readonly out: Tensor
  readonly lse: Tensor
  readonly gradOut: Tensor
  /** Keys and values of the last call, if forward kept them: backward begins with that call then. */
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
  const grads = backwardByCalls(part, inputs, options)
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

/** Backward of one kernel call, into the dtype in which gradients add up; `grad_q` is that of its rows. */
function backwardOf(
  call: KernelCall,
  keys: KeyValue,
  inputs: DistBackwardInputs,
  { scores }: DistBackwardOptions,
): AttnGrads {
  const { q, out, lse, gradOut, sink } = inputs
  return flex_flash_attn_backward({
    q: rowsOf(q, call),
    ...keys,
    ...maskOf(call.arg),
    ...scores,
    sink: call.hasOwnKeys ? sink : null,
    out: rowsOf(out, call),
    lse: rowsOf(lse, call),
    grad_out: rowsOf(gradOut, call),
    grad_dtype: accumulationDType(q.dtype),
  })
}

function backwardByCalls(
  part: DistAttnPart,
  inputs: DistBackwardInputs,
  options: DistBackwardOptions,
): AttnGrads {
  const { calls, plan } = part
  const { q, k, v, tail } = inputs
  const { switches } = options
  const dtype = accumulationDType(q.dtype)
  const wireDType = switches.backwardHighPrecisionReduce ? dtype : q.dtype
  const last = calls.at(-1)!
  // With a tail the call on own keys comes last, and hides what others send meanwhile.
  const order = tail ? [last, ...calls.slice(1, -1), calls[0]!] : calls
  const callKeys = new CallKeys(part, { k, v }, tail ? order.slice(1) : order, {
    isStageByStage: switches.cudaDeviceMaxConnections === 1,
  })
  const zerosFor = (x: Tensor, rows: number) =>
    zeros([rows, ...x.shape.slice(1)], { dtype, device: x.device })
  const zeroKeys = (rows: number): KeyValue => ({ k: zerosFor(k, rows), v: zerosFor(v, rows) })

  const { seqlen_k_local } = plan.calc_meta
  /** What others send is added to this. */
  let into = tail ? zeroKeys(seqlen_k_local) : null
  let own: KeyValue | null = null
  let gradQ: Tensor | null = null
  let gradSink: Tensor | null = null
  const works: WorkWithPostProcessFn<unknown>[] = []
  for (const call of order) {
    const keys = tail && call === last ? tail : callKeys.take(call)
    let gradKeys: KeyValue
    if (call.hasOwnKeys || !call.arg.can_skip(true)) {
      const grads = backwardOf(call, keys, inputs, options)
      gradKeys = { k: grads.grad_k, v: grads.grad_v }
      gradSink ??= grads.grad_sink
      gradQ = addRows(gradQ ?? (call.hasOwnKeys ? null : zerosFor(q, q.shape[0]!)), grads.grad_q, call)
    } else {
      gradKeys = zeroKeys(call.seqlen_k)
    }
    callKeys.release(keys)
    if (call.hasOwnKeys) {
      own = narrowKeys(gradKeys, 0, seqlen_k_local)
      into ??= own
    }
    for (const stage of call.stages) {
      const { start, length } = rowsOfStage(part, call, stage)
      const ofStage = narrowKeys(gradKeys, start, length)
      works.push(reduceStage(part, ofStage, into!, stage, wireDType))
      // What is on its way holds its memory itself.
      disposeKeys(ofStage)
    }
    if (!call.hasOwnKeys) disposeKeys(gradKeys)
  }
  for (const work of works) work.wait_post_process()
  const isSplit = own !== into
  return {
    grad_q: gradQ!,
    grad_k: isSplit ? own!.k.add(into!.k) : own!.k,
    grad_v: isSplit ? own!.v.add(into!.v) : own!.v,
    grad_sink: gradSink,
  }
}

/** `whole` with the rows of a call added to it, or these rows if they are all there are. Takes both over. */
function addRows(whole: Tensor | null, rows: Tensor, { rows: { start, length } }: KernelCall): Tensor {
  if (whole === null) return rows
  using more = rows
  if (length === whole.shape[0]) {
    using before = whole
    return before.add(more)
  }
  using target = whole.narrow(0, start, length)
  using sum = target.add(more)
  target.copy_(sum)
  return whole
}

function narrowKeys({ k, v }: KeyValue, start: number, length: number): KeyValue {
  return { k: k.narrow(0, start, length), v: v.narrow(0, start, length) }
}

function disposeKeys({ k, v }: KeyValue): void {
  k.dispose()
  v.dispose()
}
