import { ArgumentError } from '@magi-attention/common'
import { requireOptions } from '../validate.js'
import type { RankSimulation, Simulation } from './simulate.js'

export interface TimelineOptions {
  /**
   * Time to compute one cell, in any unit: 4 · num_heads_q · head_dim / (FLOP/s) seconds. Default: that of
   * the overlap config.
   */
  readonly calc_cost_factor?: number | undefined
  /**
   * Time to move one row of k and v: 2 · num_heads_kv · head_dim · bytes_per_element / (B/s) seconds. Default:
   * that of the overlap config.
   */
  readonly comm_cost_factor?: number | undefined
}

/** A stretch of time in which a rank is busy. */
export interface TimeSpan {
  /** 0 for the host, from 1 on for the remote stages. */
  readonly stage: number
  readonly start: number
  readonly end: number
}

/** When a rank computes and communicates; spans without length are left out. */
export interface RankTimeline {
  readonly rank: number
  readonly compute: readonly TimeSpan[]
  readonly communication: readonly TimeSpan[]
  /** When everything is done. */
  readonly end: number
}

/** A forward pass of all ranks. */
export interface Timeline {
  readonly ranks: readonly RankTimeline[]
  /** When the last rank is done. */
  readonly duration: number
}

/**
 * A forward pass over time. Each rank fetches its stages one after the other from the start on; it computes
 * on its own keys first and then stage by stage, as soon as the keys are there. Without overlap it fetches
 * everything and computes in one go. A link carries both directions at once, so the busier one counts; ranks
 * do not wait for each other's sending.
 *
 * @throws `ArgumentError` for factors that are not finite and positive
 */
export function timeline(simulation: Simulation, options: TimelineOptions = {}): Timeline {
  requireOptions(simulation, 'simulation', 'what simulate() returned')
  requireOptions(options, 'options', '{ calc_cost_factor, comm_cost_factor }')
  const calc = requireFactor(options.calc_cost_factor ?? simulation.calc_cost_factor, 'calc_cost_factor')
  const comm = requireFactor(options.comm_cost_factor ?? simulation.comm_cost_factor, 'comm_cost_factor')
  const ranks = simulation.ranks.map(rank => rankTimeline(rank, calc, comm, simulation.no_overlap))
  return { ranks, duration: ranks.reduce((last, { end }) => Math.max(last, end), 0) }
}

function rankTimeline(rank: RankSimulation, calc: number, comm: number, noOverlap: boolean): RankTimeline {
  const communication: TimeSpan[] = []
  let fetched = 0
  rank.stages.forEach(({ sentRows, receivedRows }, i) => {
    const end = fetched + comm * Math.max(sentRows, receivedRows)
    communication.push({ stage: i + 1, start: fetched, end })
    fetched = end
  })
  const compute: TimeSpan[] = []
  let time = noOverlap ? fetched : 0
  const work = noOverlap ? [rank.cells] : [rank.hostCells, ...rank.stages.map(stage => stage.cells)]
  work.forEach((cells, stage) => {
    const start = stage === 0 ? time : Math.max(time, communication[stage - 1]!.end)
    time = start + calc * cells
    compute.push({ stage, start, end: time })
  })
  const isSpan = ({ start, end }: TimeSpan) => end > start
  return {
    rank: rank.rank,
    compute: compute.filter(isSpan),
    communication: communication.filter(isSpan),
    end: Math.max(time, fetched),
  }
}

function requireFactor(value: unknown, argument: string): number {
  if (typeof value === 'number' && value > 0 && value < Number.POSITIVE_INFINITY) return value
  throw new ArgumentError({ argument, expected: 'a finite number > 0', actual: value })
}
