import type { Atoms } from './atoms.js'
import type { WorkGrid } from './work-grid.js'

/** One side of an assignment: which rows of which atom each rank must fetch. */
class Fetches {
  readonly atomOf: Int32Array
  private readonly rows: Float64Array
  private readonly rowBytes: number
  private readonly atoms: Atoms
  /** Most rows that a tile of the rank uses of the atom, `[cp_size, num_atoms]`. */
  private readonly need: Float64Array
  /** The tiles behind that, by the same index. */
  private readonly tiles = new Map<number, number[]>()

  constructor(atoms: Atoms, atomOf: Int32Array, rows: Float64Array, rowBytes: number) {
    this.atoms = atoms
    this.atomOf = atomOf
    this.rows = rows
    this.rowBytes = rowBytes
    this.need = new Float64Array(atoms.sharding.cp_size * atoms.numAtoms)
  }

  /** Bytes that a rank fetches more when it gets a tile, or tiles that use up to `rows` of one atom. */
  added(rank: number, tile: number, rows = this.rows[tile]!): number {
    const atom = this.atomOf[tile]!
    if (this.atoms.owners[atom] === rank) return 0
    return Math.max(0, rows - this.need[rank * this.atoms.numAtoms + atom]!) * this.rowBytes
  }

  rowsOf(tile: number): number {
    return this.rows[tile]!
  }

  /** The tiles of a rank that use an atom. */
  tilesOf(rank: number, atom: number): readonly number[] {
    return this.tiles.get(rank * this.atoms.numAtoms + atom) ?? []
  }

  /** Returns the bytes that the rank fetches more. */
  add(rank: number, tile: number): number {
    const added = this.added(rank, tile)
    const place = this.place(rank, tile)
    const list = this.tiles.get(place)
    if (list === undefined) this.tiles.set(place, [tile])
    else list.push(tile)
    this.need[place] = Math.max(this.need[place]!, this.rows[tile]!)
    return added
  }

  /** Returns the bytes that the rank fetches less. */
  remove(rank: number, tile: number): number {
    const place = this.place(rank, tile)
    const list = this.tiles.get(place)!
    list[list.indexOf(tile)] = list.at(-1)!
    list.pop()
    const before = this.need[place]!
    if (this.rows[tile] === before) {
      this.need[place] = list.reduce((most, other) => Math.max(most, this.rows[other]!), 0)
    }
    if (this.atoms.owners[this.atomOf[tile]!] === rank) return 0
    return (before - this.need[place]!) * this.rowBytes
  }

  private place(rank: number, tile: number): number {
    return rank * this.atoms.numAtoms + this.atomOf[tile]!
  }
}

/**
 * Which rank computes which tile, with the work and the traffic that follow. The traffic is estimated: of the
 * tiles of a rank in one atom, the one that uses most rows of it stands for all.
 */
export class Assignment {
  readonly grid: WorkGrid
  /** Rank of each tile, -1 for none, `[num_tiles]`. */
  readonly ranks: Int32Array
  /** Work of each rank, `[cp_size]`. */
  readonly areas: Float64Array
  /** Bytes that each rank fetches, and what it returns for them, `[cp_size]`. */
  readonly bytes: Float64Array
  readonly queries: Fetches
  readonly keys: Fetches

  constructor(grid: WorkGrid) {
    const { tiles, cp_size, queries, keys, rowBytes } = grid
    this.grid = grid
    this.ranks = new Int32Array(tiles.length).fill(-1)
    this.areas = new Float64Array(cp_size)
    this.bytes = new Float64Array(cp_size)
    const [qAtoms, kAtoms] = [Int32Array.from(tiles, t => t.qAtom), Int32Array.from(tiles, t => t.kAtom)]
    const [qRows, kRows] = [Float64Array.from(tiles, t => t.qRows), Float64Array.from(tiles, t => t.kRows)]
    this.queries = new Fetches(queries, qAtoms, qRows, rowBytes.q)
    this.keys = new Fetches(keys, kAtoms, kRows, rowBytes.k)
  }

  /** Each tile to the rank that `choose` names. */
  static by(grid: WorkGrid, choose: (tile: number) => number): Assignment {
    const assignment = new Assignment(grid)
    grid.tiles.forEach((_, tile) => {
      assignment.add(tile, choose(tile))
    })
    return assignment
  }

  get totalBytes(): number {
    return this.bytes.reduce((sum, bytes) => sum + bytes, 0)
  }

  get maxArea(): number {
    return this.areas.reduce((most, area) => Math.max(most, area), 0)
  }

  /** Whether every rank keeps the limit of its work. */
  get isBalanced(): boolean {
    return this.maxArea <= this.grid.areaLimit
  }

  hasRoom(rank: number, area: number): boolean {
    return this.areas[rank]! + area <= this.grid.areaLimit
  }

  /** Rank that has the queries of a tile. */
  queryOwner(tile: number): number {
    return this.grid.queries.owners[this.grid.tiles[tile]!.qAtom]!
  }

  /** Rank that has the keys of a tile. */
  keyOwner(tile: number): number {
    return this.grid.keys.owners[this.grid.tiles[tile]!.kAtom]!
  }

  /** Bytes that a rank would fetch more for a tile. */
  addedBytes(rank: number, tile: number): number {
    return this.queries.added(rank, tile) + this.keys.added(rank, tile)
  }

  add(tile: number, rank: number): void {
    this.ranks[tile] = rank
    this.areas[rank]! += this.grid.tiles[tile]!.area
    this.bytes[rank]! += this.queries.add(rank, tile) + this.keys.add(rank, tile)
  }

  /** Takes a tile from its rank. */
  remove(tile: number): void {
    const rank = this.ranks[tile]!
    this.ranks[tile] = -1
    this.areas[rank]! -= this.grid.tiles[tile]!.area
    this.bytes[rank]! -= this.queries.remove(rank, tile) + this.keys.remove(rank, tile)
  }

  /**
   * The rank with room for a tile that fetches least for it, the least busy of several; -1 for none.
   * @param maxBytes - what a rank may fetch at most
   */
  cheapestRank(tile: number, maxBytes = Number.POSITIVE_INFINITY): number {
    const { area } = this.grid.tiles[tile]!
    let [best, least] = [-1, Number.POSITIVE_INFINITY]
    for (let rank = 0; rank < this.grid.cp_size; rank++) {
      if (!this.hasRoom(rank, area)) continue
      const added = this.addedBytes(rank, tile)
      if (added > least || this.bytes[rank]! + added > maxBytes) continue
      if (added === least && this.areas[rank]! >= this.areas[best]!) continue
      best = rank
      least = added
    }
    return best
  }
}
