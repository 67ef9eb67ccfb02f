import { ArgumentError } from '@magi-attention/common'
import { Affinity } from './affinity/affinity.js'
import type { DispatchAlg, DispatchSolution } from './algorithms/dispatch-alg.js'
import { requireDispatchAlg } from './dispatch-config.js'
import { DispatchData } from './dispatch-data.js'
import { requireOptions } from './validate.js'

/** Spreads jobs over buckets with one algorithm. */
export class DispatchSolver {
  readonly alg: DispatchAlg

  /** @throws `ArgumentError` unless `alg` is a dispatch algorithm */
  constructor(alg: DispatchAlg) {
    this.alg = requireDispatchAlg(alg)
  }

  /**
   * The same data give the same solution, on every rank.
   * @throws `ArgumentError` when the algorithm needs a number of jobs that is a multiple of
   *   `num_buckets`, or affinities of another kind; and for affinities of several kinds
   */
  solve(options: { readonly dispatch_data: DispatchData }): DispatchSolution {
    requireOptions(options, 'options', 'one object { dispatch_data }')
    const { dispatch_data } = options
    if (!(dispatch_data instanceof DispatchData)) {
      throw new ArgumentError({
        argument: 'dispatch_data',
        expected: 'a DispatchData',
        actual: dispatch_data,
        hint: 'Pass new DispatchData({ jobs, num_buckets }).',
      })
    }
    this.checkJobs(dispatch_data)
    return this.alg.solve(dispatch_data)
  }

  private checkJobs({ jobs, num_buckets }: DispatchData): void {
    const { alg } = this
    if (alg.is_equal_num_workloads && jobs.length % num_buckets !== 0) {
      throw new ArgumentError({
        argument: 'jobs',
        expected: `a multiple of num_buckets ${num_buckets}, as ${alg} gives each bucket equally many jobs`,
        actual: jobs.length,
      })
    }
    const kind = alg.affinityKind ?? jobs[0]!.affinity?.kind
    for (const [i, { affinity }] of jobs.entries()) {
      if (
        affinity === undefined ? kind === undefined : affinity instanceof Affinity && affinity.kind === kind
      )
        continue
      const expected =
        kind === undefined
          ? 'no affinity, as jobs[0] has none'
          : `an affinity of kind '${kind}', ${alg.affinityKind ? `which ${alg} needs` : 'as jobs[0] has'}`
      throw new ArgumentError({
        argument: `jobs[${i}].affinity`,
        expected,
        actual: affinity?.kind ?? affinity,
      })
    }
  }
}
