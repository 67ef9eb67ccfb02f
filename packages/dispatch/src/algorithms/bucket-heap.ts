/** A bucket with the sum of its workloads. */
export interface LoadedBucket {
  readonly load: number
  readonly index: number
}

/** A binary heap of buckets: the lightest is on top, of equally light ones the first. */
export class BucketHeap {
  private readonly items: LoadedBucket[] = []

  /** All buckets, still empty. */
  static withAll(num_buckets: number): BucketHeap {
    const heap = new BucketHeap()
    for (let index = 0; index < num_buckets; index++) heap.items.push({ load: 0, index })
    return heap
  }

  get size(): number {
    return this.items.length
  }

  push(bucket: LoadedBucket): void {
    let at = this.items.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isLighter(bucket, this.items[parent]!)) break
      this.items[at] = this.items[parent]!
      at = parent
    }
    this.items[at] = bucket
  }

  pop(): LoadedBucket | undefined {
    const top = this.items[0]
    const last = this.items.pop()
    if (last === undefined || this.items.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= this.items.length) break
      if (child + 1 < this.items.length && isLighter(this.items[child + 1]!, this.items[child]!)) child++
      if (!isLighter(this.items[child]!, last)) break
      this.items[at] = this.items[child]!
      at = child
    }
    this.items[at] = last
    return top
  }
}

function isLighter(a: LoadedBucket, b: LoadedBucket): boolean {
  return a.load < b.load || (a.load === b.load && a.index < b.index)
}
