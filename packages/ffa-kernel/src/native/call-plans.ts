import type { AttentionCall } from '../attention-call.js'
import { getTilePlan, type TilePlan, transposeBands } from '../plan/index.js'
import type { TileSizes } from './library.js'

/** The forward plan of a call whose mask is on the host, through the cache. */
export function forwardPlan(call: AttentionCall, sizes: TileSizes): TilePlan {
  return getTilePlan({
    bands: call.bands,
    numRows: call.totalQ,
    numCols: call.totalK,
    tileRows: sizes.forwardRows,
    tileCols: sizes.forwardCols,
    alignCols: sizes.forwardAlignCols,
  })
}

/** Likewise for backward. */
export function backwardPlan(call: AttentionCall, sizes: TileSizes): TilePlan {
  return getTilePlan({
    bands: transposeBands(call.bands),
    numRows: call.totalK,
    numCols: call.totalQ,
    tileRows: sizes.backwardRows,
    tileCols: sizes.backwardCols,
    alignCols: true,
  })
}
