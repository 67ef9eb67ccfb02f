export type {
  AttentionBackward,
  AttentionForward,
  AttentionProblem,
  SinkLayout,
} from './attention-problem.js'
export {
  type AssertCloseOptions,
  assert_close,
  type ErrorMeasures,
  measureError,
  type Tolerances,
} from './error-measures.js'
export { type RefAttnGrads, type RefAttnOptions, type RefAttnResult, ref_attn_func } from './ref-attn-func.js'
export { referenceBackward } from './reference-backward.js'
export { referenceForward } from './reference-forward.js'
export { countAttendedCells, rowIntervals } from './row-intervals.js'
