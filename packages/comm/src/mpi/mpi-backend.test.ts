import { UnsupportedError } from '@magi-attention/common'
import { afterEach, expect, it, vi } from 'vitest'
import { findBackend } from '../backend/find-backend.js'
import { readRendezvous } from '../environment.js'

afterEach(() => {
  vi.unstubAllEnvs()
})

it('says what is missing where its library is not there', () => {
  vi.stubEnv('MAGI_ATTENTION_COMM_MPI_LIB', '/nowhere/libmagi_comm_mpi.so')
  const join = () => findBackend('mpi').join(readRendezvous({}), { timeoutSeconds: 1, bufferBytes: 0 })
  expect(join).toThrow(UnsupportedError)
  expect(join).toThrow(/backend.*mpi.*\/nowhere\/libmagi_comm_mpi\.so, which does not exist.*libopenmpi-dev/s)
})

it('is not what nccl means', () => {
  expect(() => findBackend('nccl')).toThrow(UnsupportedError)
})
