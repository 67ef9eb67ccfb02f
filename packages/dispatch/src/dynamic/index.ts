export { DynamicAttnAlgType } from './dynamic-attn-alg-type.js'
export {
  DynamicAttnPlan,
  type DynamicCalcMeta,
  type DynamicRankPlan,
  type DynamicVolume,
} from './dynamic-attn-plan.js'
export { DynamicAttnSolver, type DynamicAttnSolverOptions } from './dynamic-attn-solver.js'
