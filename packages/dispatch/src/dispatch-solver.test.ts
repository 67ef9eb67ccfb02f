import { ArgumentError, ShapeError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { IOUAffinity } from './affinity/iou-affinity.js'
import { SampleIDAffinity } from './affinity/sample-id-affinity.js'
import { MinHeapDispatchAlg } from './algorithms/min-heap.js'
import { ToppHeapDispatchAlg } from './algorithms/topp-heap.js'
import { DispatchData, DispatchJob } from './dispatch-data.js'
import { DispatchSolver } from './dispatch-solver.js'

describe('DispatchJob.from_job_list', () => {
  it('numbers the jobs', () => {
    const affinity = IOUAffinity.from_ranges([[0, 1]])
    const jobs = DispatchJob.from_job_list([3, 0], [affinity, affinity])
    expect(jobs.map(job => [job.job_id, job.workload, job.affinity])).toEqual([
      [0, 3, affinity],
      [1, 0, affinity],
    ])
  })

  it('refuses bad workloads and another number of affinities', () => {
    for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1' as unknown as number]) {
      expect(() => DispatchJob.from_job_list([1, bad])).toThrow(/workloads\[1\]: expected an integer >= 0/)
    }
    expect(() => DispatchJob.from_job_list([1, 2], [IOUAffinity.from_ranges([])])).toThrow(ShapeError)
  })
})

describe('DispatchData', () => {
  it('needs jobs and buckets', () => {
    const jobs = DispatchJob.from_job_list([1])
    expect(() => new DispatchData({ jobs: [], num_buckets: 1 })).toThrow(/at least one job/)
    expect(() => new DispatchData({ jobs, num_buckets: 0 })).toThrow(/num_buckets/)
    expect(() => new DispatchData({ jobs, num_buckets: 1, sample_areas: [1, -1] })).toThrow(
      /sample_areas\[1\]/,
    )
  })
})

describe('DispatchSolver', () => {
  const solver = new DispatchSolver(new MinHeapDispatchAlg())
  const iou = IOUAffinity.from_ranges([[0, 1]])
  const sample = SampleIDAffinity.from_list([0])

  it('refuses what is no algorithm', () => {
    expect(() => new DispatchSolver(MinHeapDispatchAlg as never)).toThrow(
      /the class function MinHeapDispatchAlg/,
    )
    expect(() => new DispatchSolver(undefined as never)).toThrow(ArgumentError)
  })

  it('refuses what is no data', () => {
    expect(() => solver.solve(undefined as never)).toThrow(/dispatch_data/)
    expect(() => solver.solve({ dispatch_data: { jobs: [], num_buckets: 1 } as never })).toThrow(
      /DispatchData/,
    )
  })

  it('refuses affinities of several kinds', () => {
    const solve = (affinities: (IOUAffinity | SampleIDAffinity)[], alg = new MinHeapDispatchAlg()) => {
      const jobs = DispatchJob.from_job_list([1, 2], affinities)
      return new DispatchSolver(alg).solve({ dispatch_data: new DispatchData({ jobs, num_buckets: 2 }) })
    }
    expect(solve([iou, iou]).minimax_workload).toBe(2)
    expect(() => solve([iou, sample])).toThrow(/jobs\[1\]\.affinity: expected an affinity of kind 'iou'/)
    const half = [new DispatchJob(0, 1), new DispatchJob(1, 1, iou)]
    expect(() => solver.solve({ dispatch_data: new DispatchData({ jobs: half, num_buckets: 2 }) })).toThrow(
      /jobs\[1\]/,
    )
    expect(() => solve([sample, sample], new ToppHeapDispatchAlg() as never)).toThrow(/ToppHeapDispatchAlg/)
  })

  it('needs affinities for algorithms that consider them', () => {
    const jobs = DispatchJob.from_job_list([1, 2])
    const topp = new DispatchSolver(new ToppHeapDispatchAlg())
    expect(() => topp.solve({ dispatch_data: new DispatchData({ jobs, num_buckets: 2 }) })).toThrow(
      /jobs\[0\]\.affinity.*'iou'/,
    )
  })

  it('leaves the affinities of the jobs alone', () => {
    const jobs = DispatchJob.from_job_list([1, 2], [iou, iou])
    const topp = new DispatchSolver(new ToppHeapDispatchAlg({ top_p: 1 }))
    topp.solve({ dispatch_data: new DispatchData({ jobs, num_buckets: 1 }) })
    expect(iou.ranges.length).toBe(1)
  })
})
