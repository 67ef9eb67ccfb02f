import { AttnRanges } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IOUAffinity } from '../affinity/iou-affinity.js'
import { DispatchData, DispatchJob } from '../dispatch-data.js'
import { DispatchSolver } from '../dispatch-solver.js'
import { BatchToppHeapDispatchAlg } from './batch-topp-heap.js'
import type { DispatchAlg } from './dispatch-alg.js'
import { MinHeapDispatchAlg } from './min-heap.js'
import { ToppHeapDispatchAlg } from './topp-heap.js'

type Span = readonly [start: number, end: number]

function solve(
  alg: DispatchAlg,
  workloads: readonly number[],
  num_buckets: number,
  keys?: readonly Span[][],
) {
  const affinities = keys?.map(spans => IOUAffinity.from_ranges(spans))
  const jobs = DispatchJob.from_job_list(workloads, affinities)
  return new DispatchSolver(alg).solve({ dispatch_data: new DispatchData({ jobs, num_buckets }) })
}

/** The same rules written down plainly, with a scan over all buckets instead of a heap. */
function plainHeap(workloads: readonly number[], num_buckets: number, order: readonly number[]) {
  const capacity = Math.ceil(workloads.length / num_buckets)
  const partitions: number[][] = Array.from({ length: num_buckets }, () => [])
  const loads = partitions.map(() => 0)
  for (const job of order) {
    let best = -1
    for (let b = 0; b < num_buckets; b++) {
      if (partitions[b]!.length < capacity && (best < 0 || loads[b]! < loads[best]!)) best = b
    }
    partitions[best]!.push(job)
    loads[best]! += workloads[job]!
  }
  return { minimax_workload: Math.max(...loads), bucket_partitions: partitions }
}

const indices = (workloads: readonly number[]) => workloads.map((_, i) => i)
const descending = (workloads: readonly number[]) =>
  indices(workloads).toSorted((a, b) => workloads[b]! - workloads[a]!)

describe('MinHeapDispatchAlg', () => {
  const alg = new MinHeapDispatchAlg()

  it('gives the heaviest job to the lightest bucket', () => {
    expect(solve(alg, [2, 4, 3, 16, 13, 5, 9, 10], 4)).toEqual({
      minimax_workload: 18,
      bucket_partitions: [
        [3, 0],
        [4, 2],
        [7, 1],
        [6, 5],
      ],
    })
  })

  it('takes the last of equal jobs first, and the first of equal buckets', () => {
    expect(solve(alg, new Array(8).fill(5), 4)).toEqual({
      minimax_workload: 10,
      bucket_partitions: [
        [7, 3],
        [6, 2],
        [5, 1],
        [4, 0],
      ],
    })
  })

  it('deals out ascending workloads in turns', () => {
    const workloads = Array.from({ length: 16 }, (_, i) => i + 1)
    expect(solve(alg, workloads, 4)).toEqual({
      minimax_workload: 34,
      bucket_partitions: [
        [15, 8, 7, 0],
        [14, 9, 6, 1],
        [13, 10, 5, 2],
        [12, 11, 4, 3],
      ],
    })
  })

  it('leaves buckets empty when there are more of them than jobs', () => {
    expect(solve(alg, [1, 2], 3).bucket_partitions).toEqual([[1], [0], []])
  })

  it('agrees with a plain scan for the lightest bucket', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 12 }),
        (workloads, num_buckets) => {
          const order = indices(workloads)
            .toSorted((a, b) => workloads[a]! - workloads[b]!)
            .reverse()
          expect(solve(alg, workloads, num_buckets)).toEqual(plainHeap(workloads, num_buckets, order))
        },
      ),
    )
  })
})

describe('ToppHeapDispatchAlg', () => {
  const none: Span[] = []

  it('keeps jobs together that share keys, when it may choose', () => {
    const left: Span[] = [[0, 10]]
    const right: Span[] = [[10, 20]]
    const keys = [left, right, left, right]
    // Job 1 shares nothing and goes to the lighter bucket; job 2 follows its keys to the heavier one.
    expect(solve(new ToppHeapDispatchAlg({ top_p: 1 }), [7, 6, 5, 4], 2, keys)).toEqual({
      minimax_workload: 12,
      bucket_partitions: [
        [0, 2],
        [1, 3],
      ],
    })
    expect(solve(new ToppHeapDispatchAlg({ top_p: 0 }), [7, 6, 5, 4], 2, keys)).toEqual({
      minimax_workload: 11,
      bucket_partitions: [
        [0, 3],
        [1, 2],
      ],
    })
  })

  it('is a heap without choice for top_p 0', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 6 }),
        (num_buckets, part) => {
          const workloads = new Array(num_buckets).fill(part).flat() as number[]
          const keys = workloads.map(() => none)
          const solution = solve(new ToppHeapDispatchAlg(), workloads, num_buckets, keys)
          expect(solution).toEqual(plainHeap(workloads, num_buckets, descending(workloads)))
        },
      ),
    )
  })

  it('follows its rules for every top_p', () => {
    fc.assert(
      fc.property(toppCase(), ({ workloads, num_buckets, keys, top_p }) => {
        const solution = solve(new ToppHeapDispatchAlg({ top_p }), workloads, num_buckets, keys)
        expect(solution.bucket_partitions).toEqual(plainToppHeap(workloads, num_buckets, keys, top_p))
      }),
    )
  })

  it('refuses a top_p outside of [0, 1]', () => {
    for (const top_p of [-0.1, 1.1, Number.NaN, '0.5' as unknown as number]) {
      expect(() => new ToppHeapDispatchAlg({ top_p })).toThrow(/top_p: expected a number in \[0, 1\]/)
    }
    expect(() => new ToppHeapDispatchAlg(0.5 as never)).toThrow(/options/)
  })
})

describe('BatchToppHeapDispatchAlg', () => {
  it('is ToppHeap for one job at a time', () => {
    fc.assert(
      fc.property(toppCase(), ({ workloads, num_buckets, keys, top_p }) => {
        const batch = solve(new BatchToppHeapDispatchAlg({ top_p }), workloads, num_buckets, keys)
        expect(batch).toEqual(solve(new ToppHeapDispatchAlg({ top_p }), workloads, num_buckets, keys))
      }),
    )
  })

  it('lets several jobs choose from the same buckets', () => {
    const workloads = [9, 8, 7, 6]
    const keys: Span[][] = [[[0, 4]], [[0, 4]], [[4, 8]], [[4, 8]]]
    const alg = new BatchToppHeapDispatchAlg({ top_p: 0, num_of_select_chunk: 2 })
    expect(solve(alg, workloads, 2, keys)).toEqual({
      minimax_workload: 17,
      bucket_partitions: [
        [0, 1],
        [2, 3],
      ],
    })
  })

  it('takes as many buckets as the batch needs seats', () => {
    const workloads = [9, 8, 7, 6]
    const keys: Span[][] = workloads.map(() => [[0, 4]])
    const alg = new BatchToppHeapDispatchAlg({ num_of_select_chunk: 3 })
    expect(solve(alg, workloads, 2, keys).bucket_partitions).toEqual([
      [0, 1],
      [2, 3],
    ])
  })

  it('gives equally many jobs to each bucket', () => {
    fc.assert(
      fc.property(toppCase(), fc.integer({ min: 1, max: 7 }), (given, num_of_select_chunk) => {
        const { workloads, num_buckets, keys, top_p } = given
        const alg = new BatchToppHeapDispatchAlg({ top_p, num_of_select_chunk })
        const { bucket_partitions, minimax_workload } = solve(alg, workloads, num_buckets, keys)
        expect(bucket_partitions.flat().toSorted((a, b) => a - b)).toEqual(indices(workloads))
        expect(new Set(bucket_partitions.map(jobs => jobs.length)).size).toBe(1)
        const loads = bucket_partitions.map(jobs => jobs.reduce((sum, job) => sum + workloads[job]!, 0))
        expect(minimax_workload).toBe(Math.max(...loads))
      }),
    )
  })

  it('refuses a batch of no jobs', () => {
    expect(() => new BatchToppHeapDispatchAlg({ num_of_select_chunk: 0 })).toThrow(/num_of_select_chunk/)
  })
})

function toppCase() {
  return fc
    .record({
      num_buckets: fc.integer({ min: 1, max: 5 }),
      size: fc.integer({ min: 1, max: 4 }),
      top_p: fc.constantFrom(0, 0.2, 0.5, 1),
    })
    .chain(({ num_buckets, size, top_p }) => {
      const length = { minLength: num_buckets * size, maxLength: num_buckets * size }
      const span = fc
        .tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 6 }))
        .map(([start, seqlen]): Span => [start, start + seqlen])
      return fc.record({
        num_buckets: fc.constant(num_buckets),
        top_p: fc.constant(top_p),
        workloads: fc.array(fc.integer({ min: 0, max: 9 }), length),
        keys: fc.array(fc.array(span, { maxLength: 2 }), length),
      })
    })
}

function plainToppHeap(
  workloads: readonly number[],
  num_buckets: number,
  keys: readonly Span[][],
  top_p: number,
): number[][] {
  const capacity = workloads.length / num_buckets
  const buckets = Array.from({ length: num_buckets }, (_, b) => ({
    b,
    load: 0,
    jobs: [] as number[],
    keys: [] as Span[],
  }))
  for (const job of descending(workloads)) {
    const choices = buckets
      .filter(bucket => bucket.jobs.length < capacity)
      .toSorted((a, b) => a.load - b.load || a.b - b.b)
      .slice(0, Math.max(1, Math.ceil(num_buckets * top_p)))
    const mine = AttnRanges.from_ranges(keys[job]!)
    const shared = choices.map(bucket => mine.intersect_size_with(AttnRanges.from_ranges(bucket.keys)))
    const chosen = choices[shared.indexOf(Math.max(...shared))]!
    chosen.jobs.push(job)
    chosen.load += workloads[job]!
    chosen.keys.push(...keys[job]!)
  }
  return buckets.map(bucket => bucket.jobs)
}
