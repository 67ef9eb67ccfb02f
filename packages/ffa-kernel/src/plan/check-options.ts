import { ArgumentError } from '@magi-attention/common'
import { MAX_EXTENT, type TilePlanOptions } from './tile-plan.js'

/** @throws ArgumentError for sizes that no plan can have. The bands are checked where they are packed. */
export function checkPlanOptions(options: TilePlanOptions): void {
  checkInteger('numRows', options.numRows, 0)
  checkInteger('numCols', options.numCols, 0)
  checkInteger('tileRows', options.tileRows, 1)
  checkInteger('tileCols', options.tileCols, 1)
  const { alignCols, bands } = options
  if (alignCols !== undefined && typeof alignCols !== 'boolean') {
    throw new ArgumentError({ argument: 'alignCols', expected: 'a boolean', actual: alignCols })
  }
  if (!Array.isArray(bands)) {
    throw new ArgumentError({ argument: 'bands', expected: 'an array of bands', actual: bands })
  }
}

function checkInteger(argument: string, value: number, min: number): void {
  if (Number.isInteger(value) && value >= min && value <= MAX_EXTENT) return
  throw new ArgumentError({ argument, expected: `an integer from ${min} to 2^30 - 1`, actual: value })
}
