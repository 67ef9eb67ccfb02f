import { ArgumentError, IndexError } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SampleIDAffinity } from '../affinity/sample-id-affinity.js'
import { DispatchData, DispatchJob } from '../dispatch-data.js'
import { DispatchSolver } from '../dispatch-solver.js'
import type { DispatchAlg } from './dispatch-alg.js'
import { RandomSelectDispatchAlg } from './random-select.js'
import { SequentialDispatchAlg } from './sequential.js'
import { SortedSequentialSelectAlg } from './sorted-sequential-select.js'

function solve(alg: DispatchAlg, workloads: readonly number[], num_buckets: number) {
  const jobs = DispatchJob.from_job_list(workloads)
  return new DispatchSolver(alg).solve({ dispatch_data: new DispatchData({ jobs, num_buckets }) })
}

const range = (length: number) => Array.from({ length }, (_, i) => i)

describe('SequentialDispatchAlg', () => {
  it('gives the first buckets one job more', () => {
    const { bucket_partitions, minimax_workload } = solve(new SequentialDispatchAlg(), range(10), 4)
    expect(bucket_partitions).toEqual([
      [0, 1, 2],
      [3, 4, 5],
      [6, 7],
      [8, 9],
    ])
    expect(minimax_workload).toBe(17)
  })

  it('needs a job for each bucket', () => {
    expect(() => solve(new SequentialDispatchAlg(), [1, 2, 3], 4)).toThrow(ArgumentError)
    expect(() => solve(new SequentialDispatchAlg(), [1, 2, 3], 4)).toThrow(/at least 4 jobs/)
  })
})

describe('RandomSelectDispatchAlg', () => {
  it('is decided by the seed alone', () => {
    const first = solve(new RandomSelectDispatchAlg({ seed: 7 }), range(32), 4)
    const again = solve(new RandomSelectDispatchAlg({ seed: 7 }), range(32), 4)
    const other = solve(new RandomSelectDispatchAlg({ seed: 8 }), range(32), 4)
    expect(again).toEqual(first)
    expect(other).not.toEqual(first)
    expect(solve(new RandomSelectDispatchAlg(), range(32), 4)).toEqual(
      solve(new RandomSelectDispatchAlg({ seed: 0 }), range(32), 4),
    )
  })

  it('makes equal parts of all jobs', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        (seed, k, size) => {
          const { bucket_partitions } = solve(new RandomSelectDispatchAlg({ seed }), range(k * size), k)
          expect(bucket_partitions.map(jobs => jobs.length)).toEqual(new Array(k).fill(size))
          expect(bucket_partitions.flat().toSorted((a, b) => a - b)).toEqual(range(k * size))
        },
      ),
    )
  })

  it('puts every job everywhere sometimes', () => {
    const places = new Set<number>()
    for (let seed = 0; seed < 200; seed++) {
      places.add(solve(new RandomSelectDispatchAlg({ seed }), range(8), 1).bucket_partitions[0]!.indexOf(0))
    }
    expect(places.size).toBe(8)
  })

  it('refuses a seed that is not an integer', () => {
    expect(() => new RandomSelectDispatchAlg({ seed: 1.5 })).toThrow(/seed/)
    expect(() => solve(new RandomSelectDispatchAlg(), range(3), 2)).toThrow(/multiple/)
  })
})

describe('SortedSequentialSelectAlg', () => {
  const workloads = [8, 8, 8, 8, 8, 8, 4, 4]
  const sampleIds = [[0], [0], [0], [0], [0], [0, 1], [1], [1]]

  function solveSamples(
    allocation_ratio: number,
    ids: readonly number[][] = sampleIds,
    sample_areas: readonly number[] | undefined = [48, 8],
  ) {
    const affinities = ids.map(list => SampleIDAffinity.from_list(list))
    const jobs = DispatchJob.from_job_list(workloads, affinities)
    const dispatch_data = new DispatchData({ jobs, num_buckets: 2, sample_areas })
    return new DispatchSolver(new SortedSequentialSelectAlg({ allocation_ratio })).solve({ dispatch_data })
  }

  it('fills one bucket after the other with a sample, for ratio 1', () => {
    expect(solveSamples(1)).toEqual({
      minimax_workload: 32,
      bucket_partitions: [
        [5, 4, 3, 2],
        [1, 0, 7, 6],
      ],
    })
  })

  it('changes buckets after each part of a sample, for lower ratios', () => {
    expect(solveSamples(0.5)).toMatchObject({ minimax_workload: 28 })
    expect(solveSamples(0.2)).toMatchObject({ minimax_workload: 32 })
    expect(solveSamples(0)).toEqual({
      minimax_workload: 28,
      bucket_partitions: [
        [5, 3, 1, 7],
        [4, 2, 0, 6],
      ],
    })
  })

  it('begins with the largest sample', () => {
    expect(solveSamples(1, sampleIds, [8, 48]).bucket_partitions).toEqual([
      [7, 6, 5, 0],
      [4, 3, 2, 1],
    ])
  })

  it('puts jobs of no sample on the seats that are left, ascending', () => {
    expect(solveSamples(1, [[], [0], [], [0], [0], [], [], []], [9]).bucket_partitions).toEqual([
      [4, 3, 1, 0],
      [2, 5, 6, 7],
    ])
  })

  it('gives each bucket equally many of all jobs', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 0.3, 0.99, 1),
        fc.array(fc.array(fc.nat(3), { maxLength: 3 }), { minLength: 8, maxLength: 8 }),
        fc.array(fc.nat(20), { minLength: 4, maxLength: 4 }),
        (ratio, ids, areas) => {
          const { bucket_partitions } = solveSamples(ratio, ids, areas)
          expect(bucket_partitions.map(jobs => jobs.length)).toEqual([4, 4])
          expect(bucket_partitions.flat().toSorted((a, b) => a - b)).toEqual(range(8))
        },
      ),
    )
  })

  it('refuses samples without an area, jobs without samples, and a bad ratio', () => {
    expect(() => solveSamples(1, sampleIds, [48])).toThrow(IndexError)
    expect(() => solveSamples(1, sampleIds, [48])).toThrow(/jobs\[5\]\.affinity/)
    expect(() => solve(new SortedSequentialSelectAlg(), [1, 2], 2)).toThrow(/jobs\[0\]\.affinity.*sample_id/)
    expect(() => new SortedSequentialSelectAlg({ allocation_ratio: 2 })).toThrow(/allocation_ratio/)
  })
})
