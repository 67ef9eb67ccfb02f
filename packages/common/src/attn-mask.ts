import { bandArea } from './area.js'
import { isPureCausal, isVarlen } from './attn-mask/classify.js'
import { coveredCells } from './attn-mask/covered-cells.js'
import { bandsOf, type ParsedSlices, parseSlices } from './attn-mask/parse-slices.js'
import { type RowInterval, requireRowIntervals, rowIntervals } from './attn-mask/row-intervals.js'
import { slicesFromRows } from './attn-mask/slices-from-rows.js'
import type { AttnMaskType, GeneralAttnMaskType } from './attn-mask-type.js'
import { type AttnRange, checkInteger, type RangeLike } from './attn-range.js'
import type { AttnRanges, RangesLike } from './attn-ranges.js'
import { DenseMask } from './dense-mask.js'
import { type DrawMaskSvgOptions, type DrawMaskTextOptions, save_mask } from './draw/index.js'
import { ArgumentError, InvalidRangeError, UnsupportedError } from './errors/index.js'
import { requireRange } from './infer/validate.js'
import { bandToSlices, intersectBands } from './rectangle-slices.js'

/** Known to this module only, so that masks come from the checked constructors below. */
const token = Symbol('AttnMask')

/**
 * A mask for looking at and for tests: slices together with their cells.
 *
 * The mask is the union of its slices. All four mask types are welcome (MagiAttention takes full and causal
 * here), and cells covered twice count once (there the later slice replaces the earlier). The cells are
 * written out on first use of what needs them, so areas, sub-areas and drawings work at any size.
 *
 * @example
 * ```ts
 * const mask = AttnMask.from_ranges([[0, 4], [4, 8]], [[0, 4], [0, 8]], ['causal', 'full'])
 * mask.area // 42
 * ```
 */
export class AttnMask {
  readonly q_ranges: AttnRanges
  readonly k_ranges: AttnRanges
  readonly attn_mask_type: readonly AttnMaskType[]
  /** Number of queries. */
  readonly total_seqlen_q: number
  /** Number of keys. */
  readonly total_seqlen_k: number
  #slices: ParsedSlices
  #cells: DenseMask | undefined
  #area: number | undefined
  #rows: readonly RowInterval[] | undefined | null = null

  /** Use `AttnMask.from_ranges` or `AttnMask.from_mask`. */
  private constructor(key: symbol, slices: ParsedSlices, cells?: DenseMask) {
    if (key !== token) {
      throw new UnsupportedError({
        argument: 'new AttnMask',
        expected: 'a call of AttnMask.from_ranges or AttnMask.from_mask',
        actual: key,
      })
    }
    this.q_ranges = slices.q_ranges.clone()
    this.k_ranges = slices.k_ranges.clone()
    this.attn_mask_type = Object.freeze([...slices.attn_mask_type])
    this.total_seqlen_q = slices.total_seqlen_q
    this.total_seqlen_k = slices.total_seqlen_k
    this.#slices = slices
    this.#cells = cells
  }

  /**
   * The union of slices.
   *
   * @param attn_mask_type - one mask type for all slices, or one for each
   * @param total_seqlen_q - number of queries; default: the end of the last query range
   * @param total_seqlen_k - number of keys; default: the end of the last key range
   * @throws {@link InvalidRangeError} for a malformed range, or one beyond its total.
   * @throws {@link ShapeError} for lists of different length.
   * @throws {@link ArgumentError} for an unknown mask type.
   */
  static from_ranges(
    q_ranges: RangesLike,
    k_ranges: RangesLike,
    attn_mask_type: GeneralAttnMaskType,
    total_seqlen_q?: number,
    total_seqlen_k?: number,
  ): AttnMask {
    return new AttnMask(
      token,
      parseSlices({ q_ranges, k_ranges, attn_mask_type, total_seqlen_q, total_seqlen_k }),
    )
  }

  /**
   * Slices of a written-out mask: equal rows become full slices, rows that grow by one key become causal
   * ones.
   *
   * @param mask - nested lists of booleans or 0 and 1, `[total_seqlen_q][total_seqlen_k]`, or a `DenseMask`
   * @throws {@link ArgumentError} when the keys of a row are not contiguous.
   * @throws {@link ShapeError} for rows of unequal length.
   */
  static from_mask(mask: DenseMask | readonly (readonly (boolean | number)[])[]): AttnMask {
    const cells = mask instanceof DenseMask ? mask.clone() : DenseMask.from_rows(mask)
    return AttnMask.fromCells(cells, requireRowIntervals(cells))
  }

  /**
   * The dense causal mask of `seqlen_q` queries and `seqlen_k` keys.
   *
   * @param align - corner of the diagonal: `'bottom-right'`, where it ends, or `'top-left'`, where it starts
   * @throws {@link ArgumentError} for another alignment or a length that is not an integer >= 0.
   */
  static make_causal_mask(
    seqlen_q: number,
    seqlen_k: number,
    align: 'bottom-right' | 'top-left' = 'bottom-right',
  ): DenseMask {
    const mask = new DenseMask(checkInteger(seqlen_q, 'seqlen_q', 0), checkInteger(seqlen_k, 'seqlen_k', 0))
    if (align !== 'bottom-right' && align !== 'top-left') {
      throw new ArgumentError({ argument: 'align', expected: "'bottom-right' | 'top-left'", actual: align })
    }
    const hi = align === 'bottom-right' ? seqlen_k - seqlen_q : 0
    mask.paint({ q0: 0, q1: seqlen_q, k0: 0, k1: seqlen_k, lo: Number.NEGATIVE_INFINITY, hi })
    return mask
  }

  private static fromCells(cells: DenseMask, rows: readonly RowInterval[]): AttnMask {
    const slices = { ...slicesFromRows(rows), total_seqlen_q: cells.rows, total_seqlen_k: cells.cols }
    return new AttnMask(token, slices, cells)
  }

  /**
   * The cells, shape `[total_seqlen_q, total_seqlen_k]`. A copy: changing it does not change the mask.
   * @throws {@link OutOfMemoryError} for more than 2^28 cells.
   */
  get mask_flag_array(): DenseMask {
    return this.cells().clone()
  }

  /** Number of attended cells. */
  get area(): number {
    this.#area ??= coveredCells(bandsOf(this.#slices)).cells
    return this.#area
  }

  /** The slices as `[q_range, k_range, mask_type]`. */
  tuples(): [q_range: AttnRange, k_range: AttnRange, mask_type: AttnMaskType][] {
    return this.attn_mask_type.map((type, i) => [
      this.q_ranges.at(i).clone(),
      this.k_ranges.at(i).clone(),
      type,
    ])
  }

  /**
   * Number of attended cells with the query in `q_range` and the key in `k_range`.
   * @throws {@link InvalidRangeError} for a range that leaves the mask.
   */
  calc_sub_area(q_range: RangeLike, k_range: RangeLike): number {
    return coveredCells(this.bandsWithin(...this.window(q_range, k_range))).cells
  }

  /**
   * The part of the mask with the query in `q_range` and the key in `k_range`, both counted from the start of
   * the part. It is sliced anew as by `from_mask`; if the keys of a row are not contiguous, the slices of
   * this mask are cut.
   *
   * @throws {@link InvalidRangeError} for a range that leaves the mask.
   * @throws {@link OutOfMemoryError} for a part of more than 2^28 cells.
   */
  make_sub_mask(q_range: RangeLike, k_range: RangeLike): AttnMask {
    const [q, k] = this.window(q_range, k_range)
    const cells = new DenseMask(q.seqlen, k.seqlen)
    const bands = this.bandsWithin(q, k).map(band => ({
      q0: band.q0 - q.start,
      q1: band.q1 - q.start,
      k0: band.k0 - k.start,
      k1: band.k1 - k.start,
      lo: band.lo - k.start + q.start,
      hi: band.hi - k.start + q.start,
    }))
    for (const band of bands) cells.paint(band)
    const rows = rowIntervals(cells)
    if (rows !== undefined) return AttnMask.fromCells(cells, rows)
    const slices = bands.flatMap(bandToSlices)
    return AttnMask.from_ranges(
      slices.map(slice => slice.q_range),
      slices.map(slice => slice.k_range),
      slices.map(slice => slice.mask_type),
      cells.rows,
      cells.cols,
    )
  }

  /** As many queries as keys. */
  is_square(): boolean {
    return this.total_seqlen_q === this.total_seqlen_k
  }

  /** No query attends to anything. */
  is_empty(): boolean {
    return this.area === 0
  }

  /** Every query attends to every key, and there is at least one cell. */
  is_pure_full(): boolean {
    return !this.is_empty() && this.area === this.total_seqlen_q * this.total_seqlen_k
  }

  /** One causal triangle over all queries and keys, aligned to the bottom-right corner. */
  is_pure_causal(): boolean {
    return !this.is_empty() && this.hasRows(rows => isPureCausal(rows, this.total_seqlen_k))
  }

  /**
   * Samples that follow each other, each with full attention: what `cu_seqlens` describe. Judged by the
   * cells.
   */
  is_varlen_full(): boolean {
    return !this.is_empty() && this.hasRows(rows => isVarlen(rows, this.total_seqlen_k, 'full'))
  }

  /** Samples that follow each other, each with causal attention. Judged by the cells, not by the slices. */
  is_varlen_causal(): boolean {
    return !this.is_empty() && this.hasRows(rows => isVarlen(rows, this.total_seqlen_k, 'causal'))
  }

  /**
   * Writes a drawing of the mask; see `save_mask`.
   *
   * @param save_path - a file name that ends in `.svg` or `.txt`
   * @throws {@link UnsupportedError} for another ending, or where there is no file system.
   */
  visualize(save_path: string, options: DrawMaskTextOptions & DrawMaskSvgOptions = {}): void {
    save_mask(this, save_path, options)
  }

  private cells(): DenseMask {
    if (this.#cells === undefined) {
      const cells = new DenseMask(this.total_seqlen_q, this.total_seqlen_k)
      for (const band of bandsOf(this.#slices)) cells.paint(band)
      this.#cells = cells
    }
    return this.#cells
  }

  private hasRows(test: (rows: readonly RowInterval[]) => boolean): boolean {
    if (this.#rows === null) this.#rows = rowIntervals(this.cells())
    return this.#rows !== undefined && test(this.#rows)
  }

  private window(q_range: RangeLike, k_range: RangeLike): [q: AttnRange, k: AttnRange] {
    const q = requireRange('q_range', q_range)
    const k = requireRange('k_range', k_range)
    requireWithin('q_range', q, this.total_seqlen_q)
    requireWithin('k_range', k, this.total_seqlen_k)
    return [q, k]
  }

  private bandsWithin(q: AttnRange, k: AttnRange) {
    const bounds = {
      q0: q.start,
      q1: q.end,
      k0: k.start,
      k1: k.end,
      lo: Number.NEGATIVE_INFINITY,
      hi: Number.POSITIVE_INFINITY,
    }
    return bandsOf(this.#slices)
      .map(band => intersectBands(band, bounds))
      .filter(band => bandArea(band) > 0)
  }
}

function requireWithin(argument: string, range: AttnRange, total: number): void {
  if (range.start < 0 || range.end > total) {
    throw new InvalidRangeError({ argument, expected: `a range within [0, ${total})`, actual: range })
  }
}
