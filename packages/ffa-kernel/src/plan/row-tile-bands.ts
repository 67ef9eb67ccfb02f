import { BAND_FIELDS } from './tile-plan.js'

/**
 * A sweep over the row tiles that keeps the bands which meet the current one, by ascending first column.
 * Bands that another one covers within the tile are left out.
 */
export class RowTileBands {
  rowBegin = 0
  rowEnd = 0
  /** Bands of the current tile: the first `count` entries of the arrays below. */
  count = 0
  /** Index of the band. */
  readonly index: Int32Array
  /** The columns that some row of the tile sees through the band: all of [colBegin, colEnd). */
  readonly colBegin: Int32Array
  readonly colEnd: Int32Array
  readonly bands: Int32Array

  /** Bands by first row, then by first column. */
  readonly #order: readonly number[]
  #nextInOrder = 0
  // Bands that meet the tile, the covered ones too. They stay sorted from tile to tile: sorting costs little.
  #active: number[] = []

  constructor(bands: Int32Array) {
    const numBands = bands.length / BAND_FIELDS
    this.bands = bands
    this.#order = orderByRow(bands)
    this.index = new Int32Array(numBands)
    this.colBegin = new Int32Array(numBands)
    this.colEnd = new Int32Array(numBands)
  }

  /** The first row of the band at `position`, within the tile. */
  firstRow(position: number): number {
    return Math.max(this.bands[this.index[position]! * BAND_FIELDS]!, this.rowBegin)
  }

  /** The row after the last one of the band at `position`, within the tile. */
  endRow(position: number): number {
    return Math.min(this.bands[this.index[position]! * BAND_FIELDS + 1]!, this.rowEnd)
  }

  lowerBound(position: number): number {
    return this.bands[this.index[position]! * BAND_FIELDS + 4]!
  }

  upperBound(position: number): number {
    return this.bands[this.index[position]! * BAND_FIELDS + 5]!
  }

  /** Moves to the row tile [rowBegin, rowEnd), which must begin where the one before ended. */
  moveTo(rowBegin: number, rowEnd: number): void {
    this.rowBegin = rowBegin
    this.rowEnd = rowEnd
    const { bands } = this
    this.#active = this.#active.filter(band => bands[band * BAND_FIELDS + 1]! > rowBegin)
    while (this.#nextInOrder < this.#order.length) {
      const band = this.#order[this.#nextInOrder]!
      if (bands[band * BAND_FIELDS]! >= rowEnd) break
      this.#nextInOrder += 1
      this.#active.push(band)
    }
    this.#sort()
    this.#dropCovered()
  }

  /** Insertion sort by first column, then by last column downwards; moves `#active` along. */
  #sort(): void {
    const { bands, index, colBegin, colEnd, rowBegin, rowEnd } = this
    const active = this.#active
    for (let i = 0; i < active.length; i++) {
      const band = active[i]!
      const at = band * BAND_FIELDS
      const begin = Math.max(bands[at + 2]!, Math.max(bands[at]!, rowBegin) + bands[at + 4]!)
      const end = Math.min(bands[at + 3]!, Math.min(bands[at + 1]!, rowEnd) + bands[at + 5]!)
      let slot = i
      while (
        slot > 0 &&
        (colBegin[slot - 1]! > begin || (colBegin[slot - 1] === begin && colEnd[slot - 1]! < end))
      ) {
        active[slot] = active[slot - 1]!
        colBegin[slot] = colBegin[slot - 1]!
        colEnd[slot] = colEnd[slot - 1]!
        slot -= 1
      }
      active[slot] = band
      colBegin[slot] = begin
      colEnd[slot] = end
    }
    for (let i = 0; i < active.length; i++) index[i] = active[i]!
    this.count = active.length
  }

  /**
   * Leaves out bands that the one reaching farthest among those before covers: it catches nested and repeated
   * slices.
   */
  #dropCovered(): void {
    const { index, colBegin, colEnd } = this
    let kept = 0
    let farthest = -1
    for (let i = 0; i < this.count; i++) {
      if (farthest >= 0 && this.#covers(farthest, i)) continue
      index[kept] = index[i]!
      colBegin[kept] = colBegin[i]!
      colEnd[kept] = colEnd[i]!
      if (farthest < 0 || colEnd[kept]! > colEnd[farthest]!) farthest = kept
      kept += 1
    }
    this.count = kept
  }

  #covers(outer: number, inner: number): boolean {
    const { colBegin, colEnd } = this
    if (colBegin[outer]! > colBegin[inner]! || colEnd[outer]! < colEnd[inner]!) return false
    const firstRow = this.firstRow(inner)
    const endRow = this.endRow(inner)
    if (this.firstRow(outer) > firstRow || this.endRow(outer) < endRow) return false
    // The diagonals that the inner band reaches within the tile.
    const lowest = Math.max(this.lowerBound(inner), colBegin[inner]! - (endRow - 1))
    const highest = Math.min(this.upperBound(inner), colEnd[inner]! - 1 - firstRow)
    return this.lowerBound(outer) <= lowest && this.upperBound(outer) >= highest
  }
}

function orderByRow(bands: Int32Array): number[] {
  // A plain array: its sort takes linear time where the bands come in order, as they mostly do.
  const order = Array.from({ length: bands.length / BAND_FIELDS }, (_, band) => band)
  return order.sort((a, b) => {
    const first = a * BAND_FIELDS
    const second = b * BAND_FIELDS
    return bands[first]! - bands[second]! || bands[first + 2]! - bands[second + 2]!
  })
}
