import { ArgumentError, DTypeError, ShapeError, UnsupportedError } from '@magi-attention/common'
import { flex_flash_attn_forward } from '@magi-attention/ffa-kernel'
import { no_grad, type Tensor, tidy } from '@magi-attention/tensor'
import { assertTensor } from '@magi-attention/tensor/internal'
import type { AttnHeads } from '../runtime/runtime-key.js'
import type { Scores } from './stage.js'

export interface LocalTensors {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly sink: Tensor | null
}

/**
 * Checks everything before anything is sent, so that an error is raised on all ranks alike and leaves nobody waiting.
 *
 * @throws ArgumentError, ShapeError, DTypeError, DeviceError, DisposedError
 */
export function checkCall(
  { q, k, v, sink }: LocalTensors,
  scores: Scores,
  {
    heads,
    rows,
    qo_comm,
  }: { readonly heads: AttnHeads | null; readonly rows: number; readonly qo_comm: boolean },
): void {
  for (const [argument, value] of Object.entries({ q, k, v })) {
    assertTensor(argument, value, { ndim: 3 })
    if (value.shape[0] === rows) continue
    throw new ShapeError({
      argument,
      expected: `${rows} rows, the tokens that dispatch gives this rank`,
      actual: value,
    })
  }
  if (heads) {
    const { num_heads_q, num_heads_kv, head_dim } = heads
    assertTensor('q', q, { shape: [-1, num_heads_q, head_dim] })
    assertTensor('k', k, { shape: [-1, num_heads_kv, head_dim] })
  }
  if (qo_comm && q.dtype === 'float64') {
    throw new DTypeError({
      argument: 'q',
      expected: 'float32, bfloat16 or float16, since MAGI_ATTENTION_QO_COMM merges by a float32 lse',
      actual: q,
    })
  }
  if (sink !== null) assertTensor('sink', sink, { ndim: 2 })
  // The kernel knows the rest. A call without tokens makes it check, and nothing else.
  no_grad(() =>
    tidy(() => {
      const none = (x: Tensor) => x.narrow(0, 0, 0)
      flex_flash_attn_forward({
        q: none(q),
        k: none(k),
        v: none(v),
        sink,
        q_ranges: [],
        k_ranges: [],
        ...scores,
      })
    }),
  )
}

/** @throws UnsupportedError for what is of all heads together, where heads are told apart */
export function checkFlattened({ sink }: LocalTensors, returnMaxLogits: boolean): void {
  const because = 'since MAGI_ATTENTION_FLATTEN_HEAD_GROUPS was 1 when the key was made'
  if (sink !== null) {
    throw new UnsupportedError({ argument: 'sink', expected: `null, ${because}`, actual: sink })
  }
  if (returnMaxLogits) {
    throw new UnsupportedError({ argument: 'return_max_logits', expected: `false, ${because}`, actual: true })
  }
}

/** @throws ArgumentError unless a scale is left out or finite, and a cap finite and not negative */
export function parseScores(softmax_scale: unknown, softcap: unknown): Scores {
  const scale = softmax_scale ?? null
  if (scale !== null && !(typeof scale === 'number' && Number.isFinite(scale))) {
    throw new ArgumentError({ argument: 'softmax_scale', expected: 'a finite number', actual: softmax_scale })
  }
  const cap = softcap ?? 0
  if (typeof cap === 'number' && Number.isFinite(cap) && cap >= 0)
    return { softmax_scale: scale, softcap: cap }
  throw new ArgumentError({ argument: 'softcap', expected: 'a finite number >= 0', actual: softcap })
}
