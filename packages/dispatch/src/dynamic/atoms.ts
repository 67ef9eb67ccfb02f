import type { Sharding } from '../dist-attn-solver/sharding.js'

/**
 * The rows of every rank, cut into atoms: rows that follow each other in the buffer of a rank. In the sequence
 * an atom is made of segments, each within one run of its rank.
 */
export class Atoms {
  readonly sharding: Sharding
  /** Rank of each atom, `[num_atoms]`. */
  readonly owners: Int32Array
  /** First row of each segment; they ascend and cover the sequence, `[num_segments]`. */
  readonly segmentStarts: Float64Array
  /** One past the last row of each segment. */
  readonly segmentEnds: Float64Array
  /** Atom of each segment. */
  readonly segmentAtoms: Int32Array
  /** For each rank where its atoms begin and the last one ends, in positions of its buffer. */
  private readonly cuts: readonly (readonly number[])[]

  private constructor(sharding: Sharding, cuts: readonly (readonly number[])[]) {
    this.sharding = sharding
    this.cuts = cuts
    const owners: number[] = []
    const first = cuts.map((list, rank) => {
      for (let i = 1; i < list.length; i++) owners.push(rank)
      return owners.length - list.length + 1
    })
    const [starts, ends, atoms]: [number[], number[], number[]] = [[], [], []]
    /** For each rank, the atom that its next row belongs to. */
    const current = cuts.map(() => 0)
    sharding.runStarts.forEach((runStart, run) => {
      const rank = sharding.runRanks[run]!
      const list = cuts[rank]!
      const shift = runStart - sharding.runLocals[run]!
      let position = runStart
      while (position < sharding.runEnds[run]!) {
        const atomEnd = list[current[rank]! + 1]! + shift
        const end = Math.min(atomEnd, sharding.runEnds[run]!)
        starts.push(position)
        ends.push(end)
        atoms.push(first[rank]! + current[rank]!)
        if (end === atomEnd) current[rank]!++
        position = end
      }
    })
    this.owners = Int32Array.from(owners)
    this.segmentStarts = Float64Array.from(starts)
    this.segmentEnds = Float64Array.from(ends)
    this.segmentAtoms = Int32Array.from(atoms)
  }

  /** At most `piecesPerRank` atoms of about equal length on each rank. */
  static even(sharding: Sharding, piecesPerRank: number): Atoms {
    const cuts = Array.from({ length: sharding.cp_size }, (_, rank) => {
      const seqlen = sharding.seqlenOf(rank)
      const pieces = Math.min(piecesPerRank, seqlen)
      return Array.from({ length: pieces + 1 }, (_, i) => (i === 0 ? 0 : Math.floor((i * seqlen) / pieces)))
    })
    return new Atoms(sharding, cuts)
  }

  get numAtoms(): number {
    return this.owners.length
  }

  /** Whether an atom has more than one row. */
  canSplit(atom: number): boolean {
    const [start, end] = this.bounds(atom)
    return end - start > 1
  }

  /** With each of the given atoms, which can be split, halved. */
  split(atoms: ReadonlySet<number>): Atoms {
    let atom = 0
    const cuts = this.cuts.map(list =>
      list.flatMap((cut, i) => {
        const next = list[i + 1]
        if (next === undefined) return [cut]
        return atoms.has(atom++) ? [cut, Math.floor((cut + next) / 2)] : [cut]
      }),
    )
    return new Atoms(this.sharding, cuts)
  }

  private bounds(atom: number): [start: number, end: number] {
    let first = 0
    for (const list of this.cuts) {
      const count = list.length - 1
      if (atom < first + count) return [list[atom - first]!, list[atom - first + 1]!]
      first += count
    }
    return [0, 0]
  }
}
