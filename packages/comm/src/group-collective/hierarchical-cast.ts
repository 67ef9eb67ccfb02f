import { keep } from '@magi-attention/tensor'
import { newEmpty } from '@magi-attention/tensor/internal'
import { ExchangePlan } from '../backend/exchange-plan.js'
import { offsetsOf, rowAddress, rowBytes } from '../check.js'
import type { DeviceMesh } from '../device-mesh.js'
import type { Work } from '../work.js'
import { type Grid, gridOf, indices } from './grid.js'
import type { GroupPlan } from './group-plan.js'
import type { TensorPair } from './group-tensors.js'
import { comparePlans, entriesFor, gatherPlans } from './sanity-check.js'

/**
 * A group cast over two levels: a piece crosses to another row of the mesh once, to the member in its sender's column,
 * which hands it on inside of its row. The members learn each other's plans first, since those that hand on need them.
 */
export function hierarchicalCast(
  mesh: DeviceMesh,
  call: string,
  plan: GroupPlan,
  pairs: readonly TensorPair[],
  async_op: boolean,
): Work {
  const grid = gridOf(mesh)
  const plans = gatherPlans(mesh.flatGroup, call, plan)
  comparePlans(mesh.flatGroup, call, plans)
  const relayed = relayedPieces(grid, plans)
  const relayRows = offsetsOf(relayed.map(({ rows }) => rows))
  const relays = pairs.map(({ input }) =>
    keep(newEmpty([relayRows.at(-1)!, ...input.shape.slice(1)], input.dtype)),
  )

  const across = new ExchangePlan()
  const from = offsetsOf(plan.inputSplits)
  plan.destinations.forEach((destinations, piece) => {
    const rows = new Set(destinations.map(grid.rowOf))
    rows.delete(grid.row)
    if (rows.size === 0) return
    for (const { input } of pairs) {
      across.send(rowAddress(input, from[piece]!), plan.inputSplits[piece]! * rowBytes(input), [...rows])
    }
  })
  relayed.forEach(({ row, rows }, i) => {
    for (const relay of relays) across.receive(row, rowAddress(relay, relayRows[i]!), rows * rowBytes(relay))
  })

  const within = new ExchangePlan()
  plan.destinations.forEach((destinations, piece) => {
    const columns = columnsInRow(grid, destinations)
    if (columns.length === 0) return
    for (const { input } of pairs) {
      within.send(rowAddress(input, from[piece]!), plan.inputSplits[piece]! * rowBytes(input), columns)
    }
  })
  relayed.forEach(({ columns, rows }, i) => {
    for (const relay of relays) {
      within.send(rowAddress(relay, relayRows[i]!), rows * rowBytes(relay), columns)
    }
  })
  // Each column hands on its own pieces first, then those of the other rows.
  const to = offsetsOf(plan.outputSplits)
  for (const column of indices(grid.columns)) {
    for (const row of [grid.row, ...otherRows(grid)]) {
      for (const { index, rows } of entriesFor(plan.outputSplits, plan.sources, grid.memberAt(row, column))) {
        for (const { output } of pairs) {
          within.receive(column, rowAddress(output, to[index]!), rows * rowBytes(output))
        }
      }
    }
  }

  const inputs = pairs.map(({ input }) => input)
  const outputs = pairs.map(({ output }) => output)
  const first = grid.betweenRows._run({
    call,
    steps: [across],
    borrowed: [...inputs, ...relays],
    written: relays,
    async_op: true,
  })
  return grid.withinRow._run({
    call,
    steps: [within],
    after: first,
    borrowed: [...inputs, ...outputs],
    temporary: relays,
    written: outputs,
    async_op,
  })
}

interface RelayedPiece {
  /** The row that it comes from. */
  readonly row: number
  readonly rows: number
  /** The columns of this row that need it. */
  readonly columns: readonly number[]
}

/** What this rank gets from the other rows to hand it on, in the order in which it comes. */
function relayedPieces(grid: Grid, plans: readonly GroupPlan[]): RelayedPiece[] {
  return otherRows(grid).flatMap(row => {
    const { inputSplits, destinations } = plans[grid.memberAt(row, grid.column)]!
    return destinations.flatMap((members, piece) => {
      const columns = columnsInRow(grid, members)
      return columns.length > 0 ? [{ row, rows: inputSplits[piece]!, columns }] : []
    })
  })
}

function columnsInRow(grid: Grid, members: readonly number[]): number[] {
  return members.filter(member => grid.rowOf(member) === grid.row).map(grid.columnOf)
}

function otherRows(grid: Grid): number[] {
  return indices(grid.rows).filter(row => row !== grid.row)
}
