import { requireInteger } from '../validate.js'
import { Affinity, wrongKind } from './affinity.js'

/** Samples that something has a part in: those with the same samples belong together. */
export class SampleIDAffinity extends Affinity {
  readonly kind = 'sample_id'
  private readonly counts = new Map<number, number>()

  private constructor() {
    super()
  }

  /** @throws `ArgumentError` unless all ids are integers `>= 0` */
  static from_list(sample_ids: Iterable<number>): SampleIDAffinity {
    const affinity = new SampleIDAffinity()
    let i = 0
    for (const id of sample_ids) affinity.add(requireInteger(id, `sample_ids[${i++}]`), 1)
    return affinity
  }

  /** The samples, each once, in the order of their first appearance. */
  get sample_ids(): number[] {
    return [...this.counts.keys()]
  }

  /** How often a sample occurs. */
  count(sample_id: number): number {
    return this.counts.get(sample_id) ?? 0
  }

  /** Minus the number of times that the most frequent sample of this (the first of several) is in `other`. */
  distance_to(other: Affinity): number {
    if (!(other instanceof SampleIDAffinity)) throw wrongKind(this.kind, other)
    let most: number | undefined
    for (const [id, count] of this.counts) {
      if (most === undefined || count > this.count(most)) most = id
    }
    return most === undefined ? 0 : 0 - other.count(most)
  }

  update(other: Affinity): void {
    if (!(other instanceof SampleIDAffinity)) throw wrongKind(this.kind, other)
    // A copy, as adding to a map while walking over it would not end well when both are one.
    for (const [id, count] of [...other.counts]) this.add(id, count)
  }

  emptied(): SampleIDAffinity {
    return new SampleIDAffinity()
  }

  private add(id: number, count: number): void {
    this.counts.set(id, this.count(id) + count)
  }
}
