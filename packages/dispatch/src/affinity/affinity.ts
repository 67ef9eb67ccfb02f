import { ArgumentError } from '@magi-attention/common'

/** What kind of likeness an affinity measures. */
export type AffinityKind = 'iou' | 'sample_id'

/** What a job, or all jobs of a bucket together, have in common with others. */
export abstract class Affinity {
  abstract readonly kind: AffinityKind
  /** Smaller for things that belong together more. @throws `ArgumentError` for another kind */
  abstract distance_to(other: Affinity): number
  /** Adds `other` to this. @throws `ArgumentError` for another kind */
  abstract update(other: Affinity): void
  /** The affinity of nothing, of the same kind. */
  abstract emptied(): Affinity

  /**
   * Index of the affinity with the smallest distance, the first of several.
   * @throws `ArgumentError` for an empty list
   */
  get_closest_affinity_idx(others: readonly Affinity[]): number {
    return this.bestIndex(others, (distance, best) => distance < best)
  }

  /**
   * Index of the affinity with the greatest distance, the first of several.
   * @throws `ArgumentError` for an empty list
   */
  get_farthest_affinity_idx(others: readonly Affinity[]): number {
    return this.bestIndex(others, (distance, best) => distance > best)
  }

  private bestIndex(
    others: readonly Affinity[],
    isBetter: (distance: number, best: number) => boolean,
  ): number {
    if (others.length === 0) {
      throw new ArgumentError({ argument: 'others', expected: 'at least one affinity', actual: others })
    }
    let index = 0
    let best = this.distance_to(others[0]!)
    for (let i = 1; i < others.length; i++) {
      const distance = this.distance_to(others[i]!)
      if (!isBetter(distance, best)) continue
      index = i
      best = distance
    }
    return index
  }
}

/** The error for an affinity of another kind. */
export function wrongKind(kind: AffinityKind, other: unknown): ArgumentError {
  const actual = other instanceof Affinity ? `one of kind '${other.kind}'` : other
  return new ArgumentError({ argument: 'other', expected: `an affinity of kind '${kind}'`, actual })
}
