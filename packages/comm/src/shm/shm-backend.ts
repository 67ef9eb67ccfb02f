import type { Backend } from '../backend/backend.js'
import { loadCommLibrary } from '../backend/comm-library.js'
import { nativeBackend } from '../backend/native-backend.js'

/** Shared memory, for the ranks of one machine. A job of one rank uses neither shared memory nor the network. */
export const shmBackend: Backend = nativeBackend('shm', () =>
  loadCommLibrary({
    name: 'magi_comm_shm',
    env: 'MAGI_ATTENTION_COMM_SHM_LIB',
    buildCommand: '`npm run build` in the repository, or `npx magi-build-native @magi-attention/comm`',
  }),
)
