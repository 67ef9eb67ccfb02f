import { ArgumentError, type Band, ShapeError } from '@magi-attention/common'
import type { MaskOptions } from '../options/options.js'
import { readRanges } from './read-ranges.js'
import { readTypeCodes } from './read-type-codes.js'
import { sliceBands } from './slice-bands.js'

/**
 * The bands of a mask for `totalQ` queries and `totalK` keys.
 *
 * @throws ArgumentError, InvalidRangeError, ShapeError, DTypeError
 */
export function readMask(options: MaskOptions, totalQ: number, totalK: number): Band[] {
  const { q_ranges: qInput, k_ranges: kInput, attn_type_map: typeMap } = options
  if (qInput === undefined || qInput === null) throw missingRanges('q_ranges', qInput)
  if (kInput === undefined || kInput === null) throw missingRanges('k_ranges', kInput)
  const qRanges = readRanges('q_ranges', qInput, totalQ, 'total_q')
  const kRanges = readRanges('k_ranges', kInput, totalK, 'total_k')
  if (qRanges.length !== kRanges.length) {
    throw new ShapeError({
      argument: 'k_ranges',
      expected: `${qRanges.length / 2} ranges, as many as q_ranges`,
      actual: kRanges.length / 2,
    })
  }
  return sliceBands(qRanges, kRanges, readTypeCodes('attn_type_map', typeMap, qRanges.length / 2))
}

function missingRanges(argument: string, actual: unknown): ArgumentError {
  return new ArgumentError({
    argument,
    expected: 'an int32 tensor [n, 2], AttnRanges, or an array of [start, end] pairs',
    actual,
    hint: 'For full attention, pass [[0, total_q]] and [[0, total_k]].',
  })
}
