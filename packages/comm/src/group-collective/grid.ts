import type { DeviceMesh } from '../device-mesh.js'
import type { ProcessGroup } from '../process-group.js'

/** A mesh of two dimensions as the two-level operations see it: few links between rows, many inside of each. */
export interface Grid {
  readonly rows: number
  readonly columns: number
  /** This rank's place. */
  readonly row: number
  readonly column: number
  /** The members of this rank's column; its ranks are rows. */
  readonly betweenRows: ProcessGroup
  /** The members of this rank's row; its ranks are columns. */
  readonly withinRow: ProcessGroup
  /** Member of the whole mesh. */
  memberAt(row: number, column: number): number
  rowOf(member: number): number
  columnOf(member: number): number
}

export function gridOf(mesh: DeviceMesh): Grid {
  const [rows, columns] = mesh.shape as [number, number]
  const [row, column] = mesh.get_coordinate() as [number, number]
  return {
    rows,
    columns,
    row,
    column,
    betweenRows: mesh.get_group(0),
    withinRow: mesh.get_group(1),
    memberAt: (row, column) => row * columns + column,
    rowOf: member => Math.floor(member / columns),
    columnOf: member => member % columns,
  }
}

/** 0, 1, ... below `count`. */
export function indices(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}
