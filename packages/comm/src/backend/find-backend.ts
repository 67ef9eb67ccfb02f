import { ArgumentError, UnsupportedError } from '@magi-attention/common'
import { mpiBackend } from '../mpi/mpi-backend.js'
import { shmBackend } from '../shm/shm-backend.js'
import type { Backend } from './backend.js'

/** @throws ArgumentError for an unknown name, UnsupportedError for a backend that this build does not have */
export function findBackend(name: unknown): Backend {
  if (name === 'shm') return shmBackend
  if (name === 'mpi') return mpiBackend
  if (name === 'nccl') {
    throw new UnsupportedError({
      argument: 'backend',
      expected: "'shm' or 'mpi', the backends of this build",
      actual: name,
      hint: "'shm' connects the ranks of one machine, 'mpi' those that mpirun has started.",
    })
  }
  throw new ArgumentError({ argument: 'backend', expected: "'shm', 'mpi' or 'nccl'", actual: name })
}
