/** Group-cast plans of all ranks, made alike on every rank from a seed. */
export interface CastPlan {
  /** By rank. */
  readonly input_split_sizes: number[][]
  readonly dst_indices: number[][][]
  readonly output_split_sizes: number[][]
  readonly src_index: number[][]
}

/** Marsaglia's xorshift, good enough to choose tests. */
export function makeRandom(seed: number): (limit: number) => number {
  let state = seed * 2_654_435_761 + 1
  return limit => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

/** Pieces of 0 to 4 rows for random sets of ranks; each rank receives from the others in random turns. */
export function makeCastPlan(seed: number, size: number): CastPlan {
  const random = makeRandom(seed)
  const input_split_sizes: number[][] = []
  const dst_indices: number[][][] = []
  for (let rank = 0; rank < size; rank++) {
    const pieces = random(7)
    input_split_sizes.push(Array.from({ length: pieces }, () => random(5)))
    dst_indices.push(
      Array.from({ length: pieces }, () =>
        Array.from({ length: size }, (_, i) => i).filter(() => random(3) === 0),
      ),
    )
  }
  const output_split_sizes: number[][] = []
  const src_index: number[][] = []
  for (let rank = 0; rank < size; rank++) {
    const queues = dst_indices.map((sets, source) =>
      input_split_sizes[source]!.filter((_, piece) => sets[piece]!.includes(rank)),
    )
    const sizes: number[] = []
    const sources: number[] = []
    for (;;) {
      const waiting = queues.flatMap((queue, source) => (queue.length > 0 ? [source] : []))
      if (waiting.length === 0) break
      const source = waiting[random(waiting.length)]!
      sizes.push(queues[source]!.shift()!)
      sources.push(source)
    }
    output_split_sizes.push(sizes)
    src_index.push(sources)
  }
  return { input_split_sizes, dst_indices, output_split_sizes, src_index }
}

export interface ReducePlan {
  readonly input_split_sizes: number[][]
  readonly dst_index: number[][]
  readonly output_split_sizes: number[][]
  readonly src_indices: number[][][]
}

/** Slots of 0 to 4 rows, each with pieces of a random set of ranks, which come in the order of the slots. */
export function makeReducePlan(seed: number, size: number): ReducePlan {
  const random = makeRandom(seed)
  const output_split_sizes: number[][] = []
  const src_indices: number[][][] = []
  const pending = Array.from({ length: size }, () => Array.from({ length: size }, () => [] as number[]))
  for (let owner = 0; owner < size; owner++) {
    const slots = random(6)
    const sizes = Array.from({ length: slots }, () => random(5))
    const sets = sizes.map(() => Array.from({ length: size }, (_, i) => i).filter(() => random(2) === 0))
    sets.forEach((set, slot) => {
      for (const source of set) pending[source]![owner]!.push(sizes[slot]!)
    })
    output_split_sizes.push(sizes)
    src_indices.push(sets)
  }
  const input_split_sizes: number[][] = []
  const dst_index: number[][] = []
  for (let source = 0; source < size; source++) {
    const sizes: number[] = []
    const owners: number[] = []
    const queues = pending[source]!
    for (;;) {
      const waiting = queues.flatMap((queue, owner) => (queue.length > 0 ? [owner] : []))
      if (waiting.length === 0) break
      const owner = waiting[random(waiting.length)]!
      sizes.push(queues[owner]!.shift()!)
      owners.push(owner)
    }
    input_split_sizes.push(sizes)
    dst_index.push(owners)
  }
  return { input_split_sizes, dst_index, output_split_sizes, src_indices }
}

const sum = (sizes: readonly number[]) => sizes.reduce((a, b) => a + b, 0)

export function totalRows(sizes: readonly number[]): number {
  return sum(sizes)
}

/** Pieces `[source rank, first row, rows]` that a rank gets from another, in order. */
function piecesFor(
  splits: readonly number[],
  sets: readonly (readonly number[])[],
  rank: number,
): number[][] {
  let row = 0
  const pieces: number[][] = []
  splits.forEach((rows, piece) => {
    if (sets[piece]!.includes(rank)) pieces.push([row, rows])
    row += rows
  })
  return pieces
}

/** For each row of a rank's output, where it comes from: `[rank, row]`. */
export function castRows(plan: CastPlan, rank: number): [number, number][] {
  const queues = plan.input_split_sizes.map((splits, source) =>
    piecesFor(splits, plan.dst_indices[source]!, rank),
  )
  return plan.src_index[rank]!.flatMap(source => {
    const [first, rows] = queues[source]!.shift()! as [number, number]
    return Array.from({ length: rows }, (_, i): [number, number] => [source, first + i])
  })
}

/** For each row of a rank's output, the rows that are combined with it, in order: `[rank, row]`. */
export function reduceRows(plan: ReducePlan, rank: number): [number, number][][] {
  const queues = plan.input_split_sizes.map((splits, source) =>
    piecesFor(
      splits,
      plan.dst_index[source]!.map(owner => [owner]),
      rank,
    ),
  )
  return plan.src_indices[rank]!.flatMap((sources, slot) => {
    const pieces = sources.map(source => [source, ...queues[source]!.shift()!] as [number, number, number])
    return Array.from({ length: plan.output_split_sizes[rank]![slot]! }, (_, i) =>
      pieces.map(([source, first]): [number, number] => [source, first + i]),
    )
  })
}
