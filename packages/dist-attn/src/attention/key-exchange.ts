import { group_cast, group_reduce, type WorkWithPostProcessFn } from '@magi-attention/comm'
import type { DType, Tensor } from '@magi-attention/tensor'
import { newEmpty } from '@magi-attention/tensor/internal'
import type { DistAttnPart, KeyValue } from './stage.js'

type CastWork = WorkWithPostProcessFn<readonly [Tensor, Tensor]>

/** Brings the remote keys and values of each stage, in the background. */
export class RemoteKeys {
  readonly #part: DistAttnPart
  readonly #own: KeyValue
  readonly #stages: readonly number[]
  readonly #works = new Map<number, CastWork>()
  readonly #isStageByStage: boolean
  #numAsked = 0

  /**
   * Asks for the stages, in this order, which must be that of `take`, and the same on every rank.
   * @param isStageByStage asks for one stage ahead instead of for all at once
   */
  constructor(part: DistAttnPart, own: KeyValue, stages: readonly number[], isStageByStage: boolean) {
    this.#part = part
    this.#own = own
    this.#stages = stages
    this.#isStageByStage = isStageByStage
    this.#askFor(isStageByStage ? 1 : stages.length)
  }

  /** Waits for the keys and values of a stage. The caller disposes them. */
  take(stage: number): KeyValue {
    const work = this.#works.get(stage)!
    this.#works.delete(stage)
    const [k, v] = work.wait_post_process()
    if (this.#isStageByStage) this.#askFor(1)
    return { k, v }
  }

  #askFor(count: number): void {
    for (const stage of this.#stages.slice(this.#numAsked, this.#numAsked + count)) {
      this.#works.set(stage, castStage(this.#part, this.#own, stage))
      this.#numAsked++
    }
  }
}

function castStage({ plan, group, mesh }: DistAttnPart, { k, v }: KeyValue, stage: number): CastWork {
  const rows = plan.calc_meta.seqlen_k_per_remote_stage[stage]!
  const output = [k, v].map(own => newEmpty([rows, ...own.shape.slice(1)], own.dtype, own.device))
  return group_cast({
    input: [k, v] as const,
    output: output as unknown as readonly [Tensor, Tensor],
    ...plan.comm_meta.kv_group_collective_args_list[stage]!.to_group_cast_args(),
    ...(mesh ? { mesh } : { group }),
    async_op: true,
  })
}

/**
 * Sends the gradients of a stage's remote keys and values to their owners, in the background, where they are added to
 * `into`.
 *
 * @param remote of the stage's receive buffer
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
