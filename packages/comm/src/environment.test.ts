import { ArgumentError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { readRendezvous } from './environment.js'

const torchrun = { RANK: '3', WORLD_SIZE: '8', LOCAL_RANK: '1', MASTER_ADDR: 'node7', MASTER_PORT: '2345' }

describe('readRendezvous', () => {
  it('is one rank without a launcher', () => {
    expect(readRendezvous({})).toMatchObject({ rank: 0, worldSize: 1, localRank: 0 })
    expect(readRendezvous({ WORLD_SIZE: '1' })).toMatchObject({ rank: 0, worldSize: 1 })
  })

  it('reads the variables of torchrun', () => {
    expect(readRendezvous(torchrun)).toMatchObject({
      rank: 3,
      worldSize: 8,
      localRank: 1,
      masterAddr: 'node7',
      masterPort: 2345,
    })
  })

  it('keeps away from the port on which torchrun itself listens', () => {
    const env = { ...torchrun, TORCHELASTIC_USE_AGENT_STORE: 'True' }
    expect(readRendezvous(env).masterPort).toBe(2346)
    expect(readRendezvous({ ...env, MASTER_PORT: '65535' }).masterPort).toBe(65_534)
  })

  it('reads those of mpirun and srun, where every job has a port of its own', () => {
    const mpirun = {
      OMPI_COMM_WORLD_RANK: '1',
      OMPI_COMM_WORLD_SIZE: '4',
      OMPI_COMM_WORLD_LOCAL_RANK: '1',
      PMIX_NAMESPACE: '77',
    }
    const srun = { SLURM_PROCID: '5', SLURM_NTASKS: '6', SLURM_LOCALID: '2', SLURM_JOB_ID: '9' }
    expect(readRendezvous(mpirun)).toMatchObject({
      rank: 1,
      worldSize: 4,
      localRank: 1,
      masterAddr: '127.0.0.1',
    })
    expect(readRendezvous(srun)).toMatchObject({ rank: 5, worldSize: 6, localRank: 2 })
    const ports = [mpirun, { ...mpirun, PMIX_NAMESPACE: '78' }, srun].map(
      env => readRendezvous(env).masterPort,
    )
    expect(new Set(ports).size).toBe(3)
    for (const port of ports) expect(port).toBeGreaterThanOrEqual(10_000)
    expect(readRendezvous(mpirun).token).not.toBe(readRendezvous({ ...mpirun, PMIX_NAMESPACE: '78' }).token)
  })

  it('prefers torchrun’s names, which a script may set inside of a Slurm job', () => {
    const env = { ...torchrun, SLURM_PROCID: '0', SLURM_NTASKS: '1' }
    expect(readRendezvous(env)).toMatchObject({ rank: 3, worldSize: 8 })
  })

  it.each([
    { RANK: '8' },
    { RANK: '-1' },
    { RANK: '1.5' },
    { RANK: 'one' },
    { WORLD_SIZE: '0' },
    { WORLD_SIZE: '4e0' },
    { LOCAL_RANK: 'x' },
    { MASTER_PORT: '0' },
    { MASTER_PORT: '70000' },
    { RANK: '' },
    { WORLD_SIZE: '' },
  ])('refuses %o', change => {
    expect(() => readRendezvous({ ...torchrun, ...change })).toThrow(ArgumentError)
  })
})
