import { bandsOf, parseSlices } from './attn-mask/parse-slices.js'
import { type AttnMaskType, attn_mask_type_from, type GeneralAttnMaskType } from './attn-mask-type.js'
import { checkInteger } from './attn-range.js'
import type { RangesLike } from './attn-ranges.js'
import { IndexError, OutOfMemoryError, ShapeError } from './errors/index.js'
import { type Band, sliceToBand } from './rectangle-slices.js'

/** Most cells of a dense mask: 256 MiB. Masks beyond are worked with through their slices. */
const MAX_CELLS = 2 ** 28

/** A mask written out: one byte for each query-key pair, 1 where the query attends to the key. */
export class DenseMask {
  /** Number of queries. */
  readonly rows: number
  /** Number of keys. */
  readonly cols: number
  /** 0 or 1, row-major, shape `[rows, cols]`. */
  readonly data: Uint8Array

  /**
   * A mask without any attended cell.
   * @throws {@link OutOfMemoryError} for more than 2^28 cells.
   */
  constructor(rows: number, cols: number) {
    this.rows = checkInteger(rows, 'rows', 0)
    this.cols = checkInteger(cols, 'cols', 0)
    if (rows * cols > MAX_CELLS) {
      throw new OutOfMemoryError(
        `rows, cols: expected at most ${MAX_CELLS} cells in a dense mask, got ${rows} x ${cols}. ` +
          'Work with the slices of a mask of this size, or with a part of it.',
        { argument: 'rows', expected: `rows * cols <= ${MAX_CELLS}`, actual: rows * cols },
      )
    }
    this.data = new Uint8Array(rows * cols)
  }

  /**
   * A dense mask of nested lists of booleans or of 0 and 1, shape `[rows][cols]`.
   * @throws {@link ShapeError} for rows of unequal length or other values.
   */
  static from_rows(rows: readonly (readonly (boolean | number)[])[]): DenseMask {
    if (!Array.isArray(rows) || !rows.every(Array.isArray)) {
      throw new ShapeError({ argument: 'mask', expected: 'a list of rows', actual: rows })
    }
    const cols: number = rows[0]?.length ?? 0
    const mask = new DenseMask(rows.length, cols)
    for (const [i, row] of rows.entries()) {
      if (row.length !== cols) {
        throw new ShapeError({
          argument: `mask[${i}]`,
          expected: `${cols} values as in row 0`,
          actual: row.length,
        })
      }
      for (const [j, value] of row.entries()) {
        if (![0, 1, false, true].includes(value)) {
          throw new ShapeError({
            argument: `mask[${i}][${j}]`,
            expected: 'true, false, 1 or 0',
            actual: value,
          })
        }
        mask.data[i * cols + j] = Number(value)
      }
    }
    return mask
  }

  /**
   * Whether query `row` attends to key `col`.
   * @throws {@link IndexError} outside of the mask.
   */
  at(row: number, col: number): boolean {
    checkIndex('row', row, this.rows)
    checkIndex('col', col, this.cols)
    return this.data[row * this.cols + col] === 1
  }

  /** An independent copy. */
  clone(): DenseMask {
    const copy = new DenseMask(this.rows, this.cols)
    copy.data.set(this.data)
    return copy
  }

  /** Number of attended cells. */
  count(): number {
    let sum = 0
    for (const flag of this.data) sum += flag
    return sum
  }

  /** The same values as nested lists, shape `[rows][cols]`. */
  toRows(): boolean[][] {
    return Array.from({ length: this.rows }, (_, row) =>
      Array.from(this.data.subarray(row * this.cols, (row + 1) * this.cols), flag => flag === 1),
    )
  }

  /** @internal Marks the cells of a band that lies within the mask. */
  paint(band: Band): void {
    for (let row = band.q0; row < band.q1; row++) {
      const start = Math.max(band.k0, row + band.lo)
      const end = Math.min(band.k1, row + band.hi + 1)
      if (start < end) this.data.fill(1, row * this.cols + start, row * this.cols + end)
    }
  }
}

/**
 * The dense mask of one slice whose ranges are `[0, seqlen_q)` and `[0, seqlen_k)`.
 *
 * @param attn_type - name or integer code of the mask type
 * @throws {@link ArgumentError} for an unknown type or a length that is not an integer >= 0.
 * @throws {@link OutOfMemoryError} for more than 2^28 cells.
 */
export function make_slice_mask_from_ffa_attn_type(
  seqlen_q: number,
  seqlen_k: number,
  attn_type: AttnMaskType | string | number = 'full',
): DenseMask {
  const type = attn_mask_type_from(attn_type, 'attn_type')
  const mask = new DenseMask(checkInteger(seqlen_q, 'seqlen_q', 0), checkInteger(seqlen_k, 'seqlen_k', 0))
  mask.paint(sliceToBand([0, seqlen_q], [0, seqlen_k], type))
  return mask
}

/**
 * The dense mask of a list of slices: their union, `[total_seqlen_q, total_seqlen_k]`. Where slices overlap,
 * MagiAttention lets the later one replace the earlier; here a cell is attended if any slice attends to it,
 * as everywhere in this library.
 *
 * @throws {@link InvalidRangeError} for a range beyond its total.
 * @throws {@link ShapeError} for lists of different length.
 * @throws {@link OutOfMemoryError} for more than 2^28 cells.
 */
export function make_attn_mask_from_ffa_args(
  q_ranges: RangesLike,
  k_ranges: RangesLike,
  attn_type_map: GeneralAttnMaskType | number | ArrayLike<string | number>,
  total_seqlen_q: number,
  total_seqlen_k: number,
): DenseMask {
  const slices = parseSlices({
    q_ranges,
    k_ranges,
    attn_mask_type: attn_type_map,
    total_seqlen_q,
    total_seqlen_k,
  })
  const mask = new DenseMask(slices.total_seqlen_q, slices.total_seqlen_k)
  for (const band of bandsOf(slices)) mask.paint(band)
  return mask
}

function checkIndex(argument: string, index: number, length: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= length) {
    throw new IndexError({ argument, expected: `an integer in [0, ${length})`, actual: index })
  }
}
