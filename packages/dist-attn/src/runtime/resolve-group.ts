import { DeviceMesh, ProcessGroup } from '@magi-attention/comm'
import { ArgumentError } from '@magi-attention/common'
import type { RuntimeSwitches } from '../env.js'

/** The ranks that share a sequence. */
export interface CpGroup {
  readonly group: ProcessGroup
  /** Of two dimensions, for communication over two levels; else null. */
  readonly mesh: DeviceMesh | null
}

/** @throws ArgumentError for anything but a group or a mesh, and without a 2-D mesh for hierarchical communication */
export function resolveCpGroup(value: unknown, { hierarchicalComm, qoComm }: RuntimeSwitches): CpGroup {
  const argument = 'cp_group_or_mesh'
  if (hierarchicalComm && qoComm) {
    throw new ArgumentError({
      argument: 'MAGI_ATTENTION_HIERARCHICAL_COMM',
      expected: '0 beside MAGI_ATTENTION_QO_COMM',
      actual: '1',
    })
  }
  if (hierarchicalComm) {
    if (value instanceof DeviceMesh && value.ndim === 2) return { group: live(value.flatGroup), mesh: value }
    throw new ArgumentError({
      argument,
      expected: 'a DeviceMesh of two dimensions, since MAGI_ATTENTION_HIERARCHICAL_COMM is 1',
      actual: value,
    })
  }
  if (value instanceof ProcessGroup) return { group: live(value), mesh: null }
  if (value instanceof DeviceMesh) return { group: live(value.flatGroup), mesh: null }
  throw new ArgumentError({ argument, expected: 'a ProcessGroup or a DeviceMesh', actual: value })
}

function live(group: ProcessGroup): ProcessGroup {
  if (!group.is_destroyed) return group
  throw new ArgumentError({
    argument: 'cp_group_or_mesh',
    expected: 'a group that was not destroyed',
    actual: group,
  })
}
