import { formatCount } from '@magi-attention/common'
import { requireInteger, requireOptions } from '../validate.js'
import type { Simulation } from './simulate.js'

export interface FormatSimulationOptions {
  /** Most ranks to list: the first ones. Default 32. */
  readonly maxRanks?: number | undefined
}

/**
 * A simulation as lines of text: totals, then one line a rank.
 * @throws `ArgumentError` for something that is not a simulation, or a bad `maxRanks`
 */
export function format_simulation(simulation: Simulation, options: FormatSimulationOptions = {}): string {
  requireOptions(simulation, 'simulation', 'what simulate() returned')
  requireOptions(options, 'options', '{ maxRanks }')
  const maxRanks = requireInteger(options.maxRanks ?? 32, 'maxRanks', 1)
  const { ranks, cp_size, overlap_degree, receivedRows, idealCells } = simulation
  const rowBytes = 2 * simulation.num_heads_kv * simulation.head_dim * simulation.bytes_per_element
  const padding = simulation.pad_size === 0 ? '' : `, ${formatCount(simulation.pad_size)} of them padding`
  const totals = [
    ['tokens', `${formatCount(simulation.total_seqlen)}${padding}, in chunks of ${simulation.chunk_size}`],
    ['ranks', `${cp_size}, ${overlap_degree} remote ${overlap_degree === 1 ? 'stage' : 'stages'}`],
    [
      'cells',
      `${formatCount(simulation.cells)}, ideal ${formatCount(Math.round(idealCells))} a rank, ` +
        `largest over mean ${simulation.imbalance.toFixed(3)}`,
    ],
    [
      'received',
      `${formatCount(receivedRows)} rows, ${formatBytes(receivedRows * rowBytes)}; ` +
        `any spread of the chunks needs ${formatCount(simulation.leastReceivedRows)} or more`,
    ],
  ]
  const header = ['rank', 'tokens', 'cells', 'of ideal', 'TFLOP', 'sent rows', 'sent', 'received rows']
  header.push('received', ...(overlap_degree > 1 ? ['by stage'] : []))
  const lines = ranks
    .slice(0, maxRanks)
    .map(rank => [
      String(rank.rank),
      formatCount(rank.shard_seqlen),
      formatCount(rank.cells),
      idealCells === 0 ? '-' : (rank.cells / idealCells).toFixed(3),
      (rank.flops / 1e12).toPrecision(3),
      formatCount(rank.sentRows),
      formatBytes(rank.sentBytes),
      formatCount(rank.receivedRows),
      formatBytes(rank.receivedBytes),
      ...(overlap_degree > 1 ? [rank.stages.map(stage => formatCount(stage.receivedRows)).join(' + ')] : []),
    ])
  const rest = cp_size - lines.length
  return [
    ...totals.map(([name, value]) => `${name!.padEnd(9)} ${value}`),
    '',
    ...alignRight([header, ...lines]),
    ...(rest > 0 ? [`… and ${formatCount(rest)} more ${rest === 1 ? 'rank' : 'ranks'}`] : []),
    '',
  ].join('\n')
}

function alignRight(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  return rows.map(row => row.map((cell, column) => cell.padStart(widths[column]!)).join('  '))
}

/** `1536` as `1.50 KiB`. */
function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const power = Math.min(5, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** power).toPrecision(3)} ${' KMGTP'[power]}iB`
}
