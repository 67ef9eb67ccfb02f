export { buildTilePlan } from './build-tile-plan.js'
export { transposeBands } from './pack-bands.js'
export {
  clear_plan_cache,
  getTilePlan,
  PlanCache,
  type PlanCacheInfo,
  type PlanCacheLimits,
  plan_cache_info,
} from './plan-cache.js'
export {
  BAND_FIELDS,
  isDense,
  RUN_FIELDS,
  type TilePlan,
  type TilePlanOptions,
  UNBOUNDED,
} from './tile-plan.js'
export { type TileRun, type TileVisit, tileRunsOf, visitTiles } from './visit-tiles.js'
