export { disjointBands, subtractBand } from './disjoint-bands.js'
export {
  DistAttnPlan,
  type DistAttnPlanOptions,
  type HeadSizes,
  type RankPlan,
} from './dist-attn-plan.js'
export { type DistAttnProblem, DistAttnSolver, type DistAttnSolverOptions } from './dist-attn-solver.js'
export { compactBands, joinBands } from './join-bands.js'
export { type RangeTable, RangeTableBuilder, rowRanges, rowSeqlen } from './range-table.js'
export { Sharding, type ShardingOptions } from './sharding.js'
export type { StagePlan } from './stage-plan.js'
