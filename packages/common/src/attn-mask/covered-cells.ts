import { bandArea } from '../area.js'
import { find_doubly_covered } from '../double-cover.js'
import { type Band, tightenBand } from '../rectangle-slices.js'

export interface CoveredCells {
  /** Number of cells that at least one band covers. */
  readonly cells: number
  /** False for an estimate. */
  readonly isExact: boolean
}

export interface CoveredCellsOptions {
  /** Known beforehand; default: found out. */
  areDisjoint?: boolean
  /**
   * Most rows times bands to look at one by one; beyond, the size is estimated from a sample. Default: no
   * limit.
   */
  maxWork?: number
}

/** Fewest rows of a sample. */
const MIN_SAMPLE = 32

/**
 * Size of a union of bands. Disjoint bands are summed up in closed form. Otherwise the queries are cut where
 * bands start or end: one band alone is closed form again, and where several are active the rows are counted
 * one by one.
 */
export function coveredCells(bands: readonly Band[], options: CoveredCellsOptions = {}): CoveredCells {
  const tight = bands.map(tightenBand).filter(band => band !== null)
  const areDisjoint = tight.length < 2 || (options.areDisjoint ?? find_doubly_covered(tight).length === 0)
  if (areDisjoint) return { cells: tight.reduce((sum, band) => sum + bandArea(band), 0), isExact: true }

  const { maxWork = Number.POSITIVE_INFINITY } = options
  if (maxWork < Number.POSITIVE_INFINITY && isMoreWork(tight, maxWork)) {
    return {
      cells: sampleCells(tight, Math.max(MIN_SAMPLE, Math.floor(maxWork / tight.length))),
      isExact: false,
    }
  }
  let cells = 0
  for (const { q0, q1, active } of strips(tight)) {
    if (active.length === 1) cells += bandArea({ ...active[0]!, q0, q1 })
    else for (let row = q0; row < q1; row++) cells += coveredKeys(active, row)
  }
  return { cells, isExact: true }
}

interface Strip {
  readonly q0: number
  readonly q1: number
  /** The bands that hold all rows of the strip; at least one. */
  readonly active: readonly Band[]
}

/** Cuts the queries wherever a band starts or ends. */
function* strips(bands: readonly Band[]): Generator<Strip> {
  const ascending = bands.toSorted((a, b) => a.q0 - b.q0)
  const cuts = [...new Set(bands.flatMap(band => [band.q0, band.q1]))].sort((a, b) => a - b)
  let active: Band[] = []
  let next = 0
  for (const [i, q0] of cuts.slice(0, -1).entries()) {
    active = active.filter(band => band.q1 > q0)
    while (next < ascending.length && ascending[next]!.q0 <= q0) active.push(ascending[next++]!)
    if (active.length > 0) yield { q0, q1: cuts[i + 1]!, active }
  }
}

function isMoreWork(bands: readonly Band[], maxWork: number): boolean {
  let work = 0
  for (const { q0, q1, active } of strips(bands)) {
    work += active.length === 1 ? 1 : (q1 - q0) * active.length
    if (work > maxWork) return true
  }
  return false
}

/** An estimate from evenly spaced rows. */
function sampleCells(bands: readonly Band[], maxRows: number): number {
  const q0 = bands.reduce((least, band) => Math.min(least, band.q0), Number.POSITIVE_INFINITY)
  const q1 = bands.reduce((greatest, band) => Math.max(greatest, band.q1), Number.NEGATIVE_INFINITY)
  const count = Math.min(maxRows, q1 - q0)
  let sum = 0
  for (let sample = 0; sample < count; sample++) {
    const row = q0 + Math.floor(((sample + 0.5) * (q1 - q0)) / count)
    sum += coveredKeys(
      bands.filter(band => band.q0 <= row && row < band.q1),
      row,
    )
  }
  return Math.round((sum * (q1 - q0)) / count)
}

/** Number of keys of one row that at least one band covers. */
function coveredKeys(bands: readonly Band[], row: number): number {
  const keys = bands.map(band => ({
    start: Math.max(band.k0, row + band.lo),
    end: Math.min(band.k1, row + band.hi + 1),
  }))
  keys.sort((a, b) => a.start - b.start)
  let covered = 0
  let reached = Number.NEGATIVE_INFINITY
  for (const { start, end } of keys) {
    if (end <= reached) continue
    covered += Math.max(0, end - Math.max(start, reached))
    reached = end
  }
  return covered
}
