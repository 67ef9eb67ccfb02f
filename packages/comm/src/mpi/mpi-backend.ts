import { NativeLibraryNotFoundError, UnsupportedError } from '@magi-attention/common'
import type { Backend } from '../backend/backend.js'
import { type CommLibrary, loadCommLibrary } from '../backend/comm-library.js'
import { nativeBackend } from '../backend/native-backend.js'

const buildCommand = '`npm run build` in the repository, or `npx magi-build-native @magi-attention/comm`'

/**
 * The system's MPI library, for ranks that mpirun has started, on one machine or several. A job of one rank does not
 * start MPI.
 */
export const mpiBackend: Backend = nativeBackend('mpi', loadMpiLibrary)

/** @throws UnsupportedError if the library was not built, as where there is no MPI */
function loadMpiLibrary(): CommLibrary {
  try {
    return loadCommLibrary({ name: 'magi_comm_mpi', env: 'MAGI_ATTENTION_COMM_MPI_LIB', buildCommand })
  } catch (error) {
    if (!(error instanceof NativeLibraryNotFoundError)) throw error
    throw new UnsupportedError({
      argument: 'backend',
      expected: "'shm', since the library of the mpi backend was not built",
      actual: 'mpi',
      hint:
        `${error.message} It is built only where an MPI library and its headers are installed ` +
        '(e.g. `apt-get install openmpi-bin libopenmpi-dev`).',
    })
  }
}
