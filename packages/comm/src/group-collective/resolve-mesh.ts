import { ArgumentError } from '@magi-attention/common'
import { DeviceMesh } from '../device-mesh.js'
import type { ProcessGroup } from '../process-group.js'
import { resolveGroup } from '../world.js'

/** The group of an operation, and the mesh if it goes over two levels. */
export function resolveGroupOrMesh(
  operation: string,
  options: {
    readonly group?: ProcessGroup | null | undefined
    readonly mesh?: DeviceMesh | null | undefined
  },
): { group: ProcessGroup; mesh: DeviceMesh | null } {
  const { group, mesh } = options
  if (mesh === undefined || mesh === null) return { group: resolveGroup(operation, group), mesh: null }
  if (!(mesh instanceof DeviceMesh)) {
    throw new ArgumentError({ argument: 'mesh', expected: 'a DeviceMesh', actual: mesh })
  }
  if (group !== undefined && group !== null && group !== mesh.flatGroup) {
    throw new ArgumentError({ argument: 'group', expected: 'no group beside mesh', actual: group })
  }
  return { group: mesh.flatGroup, mesh: mesh.ndim === 2 ? mesh : null }
}
