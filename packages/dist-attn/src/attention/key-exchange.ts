import { group_cast, group_reduce, type WorkWithPostProcessFn } from '@magi-attention/comm'
import type { DType, Tensor } from '@magi-attention/tensor'
import { newEmpty } from '@magi-attention/tensor/internal'
import type { KernelCall } from './kernel-calls.js'
import type { DistAttnPart, KeyValue } from './stage.js'

/** Brings the keys and values of each kernel call into one buffer, in the background. */
export class CallKeys {
  readonly #part: DistAttnPart
  readonly #own: KeyValue
  readonly #isStageByStage: boolean
  readonly #buffers = new Map<KernelCall, KeyValue>()
  readonly #works = new Map<number, WorkWithPostProcessFn<unknown>>()
  /** What was not asked for yet. */
  readonly #pending: { readonly call: KernelCall; readonly stage: number }[]

  /**
   * Asks for the remote stages of the calls, in this order, which must be that of `take`, and the same on every rank.
   * @param isStageByStage asks for one stage ahead instead of for all at once
   */
  constructor(
    part: DistAttnPart,
    own: KeyValue,
    calls: readonly KernelCall[],
    { isStageByStage }: { readonly isStageByStage: boolean },
  ) {
    this.#part = part
    this.#own = own
    this.#isStageByStage = isStageByStage
    this.#pending = calls.flatMap(call => call.stages.map(stage => ({ call, stage })))
    this.#askFor(isStageByStage ? 1 : this.#pending.length)
  }

  /** Waits for the keys and values of a call. Hand them back to `release`. */
  take(call: KernelCall): KeyValue {
    if (call.hasOwnKeys && call.stages.length === 0) return this.#own
    for (const stage of call.stages) {
      this.#works.get(stage)!.wait_post_process()
      this.#works.delete(stage)
      if (this.#isStageByStage) this.#askFor(1)
    }
    const buffer = this.#bufferOf(call)
    this.#buffers.delete(call)
    return buffer
  }

  /** Frees what `take` gave, unless it is the rank's own. */
  release({ k, v }: KeyValue): void {
    if (k === this.#own.k) return
    k.dispose()
    v.dispose()
  }

  #askFor(count: number): void {
    for (const { call, stage } of this.#pending.splice(0, count)) {
      const { k, v } = this.#bufferOf(call)
      const { start, length } = rowsOfStage(this.#part, call, stage)
      // What is on its way holds its memory itself.
      using toK = k.narrow(0, start, length)
      using toV = v.narrow(0, start, length)
      this.#works.set(stage, castStage(this.#part, this.#own, { k: toK, v: toV }, stage))
    }
  }

  #bufferOf(call: KernelCall): KeyValue {
    const known = this.#buffers.get(call)
    if (known) return known
    const buffer = { k: joinBuffer(this.#own.k, call), v: joinBuffer(this.#own.v, call) }
    this.#buffers.set(call, buffer)
    return buffer
  }
}

/** Where the rows of a stage are in the buffer of a call. */
export function rowsOfStage(
  { plan }: DistAttnPart,
  { hasOwnKeys, stages }: KernelCall,
  stage: number,
): { start: number; length: number } {
  const { seqlen_k_local, seqlen_k_per_remote_stage: seqlens } = plan.calc_meta
  let start = hasOwnKeys ? seqlen_k_local : 0
  for (const before of stages) {
    if (before === stage) break
    start += seqlens[before]!
  }
  return { start, length: seqlens[stage]! }
}

/** Room for the keys of a call; its own ones are there already. */
function joinBuffer(own: Tensor, { hasOwnKeys, seqlen_k }: KernelCall): Tensor {
  const buffer = newEmpty([seqlen_k, ...own.shape.slice(1)], own.dtype, own.device)
  if (hasOwnKeys) {
    using head = buffer.narrow(0, 0, own.shape[0]!)
    head.copy_(own)
  }
  return buffer
}

function castStage(
  { plan, group, mesh }: DistAttnPart,
  own: KeyValue,
  into: KeyValue,
  stage: number,
): WorkWithPostProcessFn<unknown> {
  return group_cast({
    input: [own.k, own.v],
    output: [into.k, into.v],
    ...plan.comm_meta.kv_group_collective_args_list[stage]!.to_group_cast_args(),
    ...(mesh ? { mesh } : { group }),
    async_op: true,
  })
}

/**
 * Sends the gradients of a stage's remote keys and values to their owners, in the background, where they are added to
 * `into`.
 *
 * @param remote of the stage's keys
 * @param into of this rank's own keys and values, in the same dtype
 * @param wireDType the dtype in which they travel
 */
export function reduceStage(
  { plan, group, mesh }: DistAttnPart,
  remote: KeyValue,
  into: KeyValue,
  stage: number,
  wireDType: DType,
): WorkWithPostProcessFn<unknown> {
  return group_reduce({
    input: [remote.k, remote.v],
    output: [into.k, into.v],
    ...plan.comm_meta.kv_group_collective_args_list[stage]!.to_group_reduce_args(),
    ...(mesh ? { mesh } : { group }),
    reduce_op: 'sum',
    comm_dtype: wireDType,
    async_op: true,
  })
}
