import { ArgumentError, DeviceError, ShapeError } from '@magi-attention/common'
import { assertInteger } from '@magi-attention/tensor/internal'
import { assertOptions } from './check.js'
import type { ProcessGroup } from './process-group.js'
import { new_group, resolveGroup } from './world.js'

/**
 * The ranks of a job as a line or a grid, with a group along each dimension. Rank r of a grid `[rows, columns]` sits at
 * `(floor(r / columns), r % columns)`.
 */
export class DeviceMesh {
  readonly device_type: 'cpu'
  readonly shape: readonly number[]
  readonly mesh_dim_names: readonly string[] | null
  /** The group of all ranks of the mesh, row by row. */
  readonly flatGroup: ProcessGroup
  readonly #groups: readonly ProcessGroup[]

  /** @internal */
  constructor(
    shape: readonly number[],
    names: readonly string[] | null,
    flat: ProcessGroup,
    groups: readonly ProcessGroup[],
  ) {
    this.device_type = 'cpu'
    this.shape = Object.freeze([...shape])
    this.mesh_dim_names = names && Object.freeze([...names])
    this.flatGroup = flat
    this.#groups = groups
  }

  get ndim(): number {
    return this.shape.length
  }

  /** Number of ranks, along one dimension or of the whole mesh. */
  size(mesh_dim?: number | string): number {
    return mesh_dim === undefined ? this.flatGroup.size() : this.shape[this.#index(mesh_dim)]!
  }

  /** The group along a dimension that this rank belongs to. A mesh of one dimension needs no argument. */
  get_group(mesh_dim?: number | string): ProcessGroup {
    if (mesh_dim === undefined && this.ndim > 1) {
      throw new ArgumentError({
        argument: 'mesh_dim',
        expected: 'a dimension or its name',
        actual: mesh_dim,
        hint: 'A mesh of two dimensions has a group along each of them; flatGroup is that of all ranks.',
      })
    }
    return this.#groups[this.#index(mesh_dim ?? 0)]!
  }

  /** This rank's index along a dimension. */
  get_local_rank(mesh_dim?: number | string): number {
    return this.get_group(mesh_dim).rank()
  }

  /** This rank's index along every dimension. */
  get_coordinate(): readonly number[] {
    return this.#groups.map(group => group.rank())
  }

  #index(dim: number | string): number {
    const index = typeof dim === 'string' ? (this.mesh_dim_names?.indexOf(dim) ?? -1) : dim
    if (Number.isInteger(index) && index >= 0 && index < this.ndim) return index
    const names = this.mesh_dim_names ? ` or one of ${this.mesh_dim_names.join(', ')}` : ''
    throw new ArgumentError({
      argument: 'mesh_dim',
      expected: `a dimension below ${this.ndim}${names}`,
      actual: dim,
    })
  }
}

/**
 * Arranges all ranks of the job in a mesh. Every rank must call this with the same shape.
 *
 * @param device_type `'cpu'`
 * @param mesh_shape one or two sizes whose product is the world size; of two, the first counts machines or other far
 *   apart places, the second the ranks inside of each
 * @throws ShapeError, DeviceError, ArgumentError, and what `new_group` throws
 */
export function init_device_mesh(
  device_type: 'cpu',
  mesh_shape: readonly number[],
  options: { readonly mesh_dim_names?: readonly string[] | undefined } = {},
): DeviceMesh {
  const all = resolveGroup('init_device_mesh', undefined)
  assertOptions('options', options, ['mesh_dim_names'])
  if (device_type !== 'cpu') {
    throw new DeviceError({ argument: 'device_type', expected: "'cpu'", actual: device_type })
  }
  const isList = Array.isArray(mesh_shape) && (mesh_shape.length === 1 || mesh_shape.length === 2)
  if (!isList || mesh_shape.reduce((product, size) => product * assertSize(size), 1) !== all.size()) {
    throw new ShapeError({
      argument: 'mesh_shape',
      expected: `one or two sizes with the product ${all.size()}, the world size`,
      actual: mesh_shape,
    })
  }
  const names = parseNames(options.mesh_dim_names, mesh_shape.length)
  if (mesh_shape.length === 1) return new DeviceMesh(mesh_shape, names, all, [all])
  const [rows, columns] = mesh_shape as [number, number]
  const columnGroups = Array.from({ length: columns }, (_, column) =>
    new_group(Array.from({ length: rows }, (_, row) => row * columns + column)),
  )
  const rowGroups = Array.from({ length: rows }, (_, row) =>
    new_group(Array.from({ length: columns }, (_, column) => row * columns + column)),
  )
  const own = [columnGroups, rowGroups].map(groups => groups.find(group => group !== null)!)
  return new DeviceMesh(mesh_shape, names, all, own)
}

function assertSize(size: unknown): number {
  return assertInteger('mesh_shape', size, 1)
}

function parseNames(names: unknown, ndim: number): readonly string[] | null {
  if (names === undefined) return null
  const isValid =
    Array.isArray(names) &&
    names.length === ndim &&
    names.every(name => typeof name === 'string' && name !== '') &&
    new Set(names).size === ndim
  if (isValid) return names as string[]
  throw new ArgumentError({
    argument: 'mesh_dim_names',
    expected: `${ndim} different names`,
    actual: names,
  })
}
