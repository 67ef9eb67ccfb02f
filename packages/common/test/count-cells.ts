interface Bounds {
  readonly start: number
  readonly end: number
}

/**
 * How many slices attend to each cell of a `[rows, cols]` mask, by the definition of the mask types and cell
 * by cell. Kept apart from the sources so that tests compare two independent computations.
 */
export function countCells(
  qRanges: Iterable<Bounds>,
  kRanges: Iterable<Bounds>,
  types: readonly string[],
  rows: number,
  cols: number,
): number[][] {
  const counts = Array.from({ length: rows }, () => new Array<number>(cols).fill(0))
  const ks = [...kRanges]
  for (const [s, q] of [...qRanges].entries()) {
    const k = ks[s]!
    for (let i = q.start; i < q.end; i++) {
      for (let j = k.start; j < k.end; j++) {
        const right = j - i <= k.end - q.end
        const left = j - i >= k.start - q.start
        const attended = { full: true, causal: right, inv_causal: left, bi_causal: left && right }[types[s]!]
        if (attended) counts[i]![j]!++
      }
    }
  }
  return counts
}

/** `[[start, end], [start, end], type]` for each slice, to compare with written-out expectations. */
export function triples(
  qRanges: Iterable<Bounds>,
  kRanges: Iterable<Bounds>,
  types: readonly string[],
): [number[], number[], string][] {
  const ks = [...kRanges]
  return [...qRanges].map((q, i) => [[q.start, q.end], [ks[i]!.start, ks[i]!.end], types[i]!])
}
