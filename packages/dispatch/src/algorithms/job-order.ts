import type { DispatchJob } from '../dispatch-data.js'

/** Job indices by workload, heaviest first; equal ones keep their order. */
export function heaviestFirst(jobs: readonly DispatchJob[]): number[] {
  return jobs.map((_, i) => i).sort((a, b) => jobs[b]!.workload - jobs[a]!.workload)
}

/** Sum of all workloads. */
export function totalWorkload(jobs: readonly DispatchJob[]): number {
  let total = 0
  for (const { workload } of jobs) total += workload
  return total
}

/** Greatest workload. */
export function maxWorkload(jobs: readonly DispatchJob[]): number {
  return largest(jobs.map(job => job.workload))
}

/** The greatest of some loads, 0 without any. A loop: very many arguments would exhaust the stack. */
export function largest(loads: readonly number[]): number {
  let max = 0
  for (const load of loads) max = Math.max(max, load)
  return max
}

/** Load of the fullest bucket. */
export function minimaxWorkload(
  jobs: readonly DispatchJob[],
  partitions: readonly (readonly number[])[],
): number {
  return largest(partitions.map(partition => totalWorkload(partition.map(job => jobs[job]!))))
}

/** As many empty lists. */
export function emptyPartitions(num_buckets: number): number[][] {
  return Array.from({ length: num_buckets }, () => [])
}
