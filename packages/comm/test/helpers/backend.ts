import type { BackendName } from '@magi-attention/comm'

/** The backend that a program is to test. */
export const backend = (process.env.TEST_BACKEND ?? 'shm') as BackendName
