import { group_cast, group_reduce, type ProcessGroup } from '@magi-attention/comm'
import type { DynamicRankPlan, GroupCollectiveArg } from '@magi-attention/dispatch'
import type { DType, Tensor } from '@magi-attention/tensor'
import { newEmpty } from '@magi-attention/tensor/internal'

/** One rank's part of attention whose queries travel, too. */
export interface QoAttnPart {
  readonly plan: DynamicRankPlan
  readonly group: ProcessGroup
}

/** How keys travel. */
export function keyRoute({ plan }: QoAttnPart): GroupCollectiveArg {
  return plan.comm_meta.kv_group_collective_args_list[0]!
}

/** How queries travel. */
export function queryRoute({ plan }: QoAttnPart): GroupCollectiveArg {
  return plan.comm_meta.qo_group_collective_args_list[0]!
}

/** Asks for rows of others, in the background. Returns how to wait for `[tensor, …]`, and the lse behind them if given. */
export function askForRows(
  { group }: QoAttnPart,
  route: GroupCollectiveArg,
  own: readonly Tensor[],
  lse?: Tensor,
): () => Tensor[] {
  const rows = route.num_received_tokens
  const receive = (x: Tensor) => newEmpty([rows, ...x.shape.slice(1)], x.dtype, x.device)
  const output = own.map(receive)
  const withLse = lse ? { cast_lse: true, input_lse: lse, output_lse: receive(lse) } : null
  const work = group_cast({
    input: own,
    output,
    ...route.to_group_cast_args(),
    ...withLse,
    group,
    async_op: true,
  })
  return () => {
    work.wait_post_process()
    return withLse ? [...output, withLse.output_lse] : output
  }
}

/** Merges partial outputs of fetched queries into those of their owners. */
export function returnOutputs(
  part: QoAttnPart,
  fetched: { readonly out: Tensor; readonly lse: Tensor },
  own: { readonly out: Tensor; readonly lse: Tensor },
  wireDType: DType,
): void {
  group_reduce({
    input: fetched.out,
    output: own.out,
    input_lse: fetched.lse,
    output_lse: own.lse,
    ...queryRoute(part).to_group_reduce_args(),
    reduce_op: 'lse',
    comm_dtype: wireDType,
    group: part.group,
  }).wait_post_process()
}

/** Adds gradients of fetched rows to those of their owners, in the background. Returns how to wait. */
export function returnGradients(
  { group }: QoAttnPart,
  route: GroupCollectiveArg,
  fetched: readonly Tensor[],
  own: readonly Tensor[],
  wireDType: DType,
): () => void {
  const work = group_reduce({
    input: fetched,
    output: own,
    ...route.to_group_reduce_args(),
    reduce_op: 'sum',
    comm_dtype: wireDType,
    group,
    async_op: true,
  })
  return () => {
    work.wait_post_process()
  }
}
