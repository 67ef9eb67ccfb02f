export { type FormatSimulationOptions, format_simulation } from './format-simulation.js'
export { draw_ranks_svg } from './ranks-svg.js'
export {
  type RankSimulation,
  type SimulateOptions,
  type Simulation,
  type StageSimulation,
  simulate,
} from './simulate.js'
export type { DrawSimulationOptions } from './svg-page.js'
export {
  type RankTimeline,
  type Timeline,
  type TimelineOptions,
  type TimeSpan,
  timeline,
} from './timeline.js'
export { type DrawTimelineOptions, draw_timeline_svg } from './timeline-svg.js'
