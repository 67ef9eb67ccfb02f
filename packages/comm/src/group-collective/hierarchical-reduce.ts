import { keep, type Tensor } from '@magi-attention/tensor'
import { newEmpty } from '@magi-attention/tensor/internal'
import { ExchangePlan } from '../backend/exchange-plan.js'
import { ReducePlan } from '../backend/reduce-plan.js'
import { offsetsOf, rowAddress, rowBytes, sum } from '../check.js'
import type { DeviceMesh } from '../device-mesh.js'
import type { Work } from '../work.js'
import { type Grid, gridOf, indices } from './grid.js'
import type { GroupPlan } from './group-plan.js'
import type { ReduceRequest } from './group-reduce.js'
import { inWireDType } from './group-reduce.js'
import { comparePlans, entriesFor, gatherPlans } from './sanity-check.js'

/**
 * A group reduce over two levels: inside of a row, all pieces for a column go to that column's member, which sums up
 * those that end in the same slot of another row and sends one partial sum there. A partial sum is rounded to the dtype
 * in which it travels.
 */
export function hierarchicalReduce(mesh: DeviceMesh, request: ReduceRequest): Work {
  const { call, plan, pairs, reduceOp, commDType, async_op } = request
  const grid = gridOf(mesh)
  const plans = gatherPlans(mesh.flatGroup, call, plan)
  comparePlans(mesh.flatGroup, call, plans)
  const owners = indices(grid.rows).map(row => grid.memberAt(row, grid.column))
  // What this row has for each member of this column, slot by slot.
  const shares = owners.map(owner => sharesOf(grid, plans[owner]!, grid.row))
  const temporary: Tensor[] = []
  const makeParts = (rows: number, like: Tensor) => {
    const parts = keep(newEmpty([rows, ...like.shape.slice(1)], like.dtype))
    temporary.push(parts)
    return parts
  }
  const wires = pairs.map(({ input }) => {
    const { wire, copies } = inWireDType(input, commDType)
    temporary.push(...copies)
    return wire
  })

  // Pieces, as they come from the members of this row: for each owner, each of its slots, each source.
  const pieceRows = shares.map(list => sum(list.map(({ rows, sources }) => rows * sources.length)))
  const pieceStart = offsetsOf(pieceRows)
  const pieces = wires.map(wire => makeParts(pieceStart.at(-1)!, wire))
  const placeOf = new Map<string, number>()
  shares.forEach((list, row) => {
    let next = pieceStart[row]!
    for (const { slot, rows, sources } of list) {
      for (const source of sources) {
        placeOf.set(`${row}/${slot}/${source}`, next)
        next += rows
      }
    }
  })

  const within = new ExchangePlan()
  const from = offsetsOf(plan.inputSplits)
  plan.destinations.forEach(([destination], piece) => {
    if (destination === undefined || plan.inputSplits[piece] === 0) return
    for (const wire of wires) {
      const bytes = plan.inputSplits[piece]! * rowBytes(wire)
      within.send(rowAddress(wire, from[piece]!), bytes, [grid.columnOf(destination)])
    }
  })
  for (const column of indices(grid.columns)) {
    for (const { row, slot, rows } of arrivals(grid, plans, column)) {
      const place = placeOf.get(`${row}/${slot}/${grid.memberAt(grid.row, column)}`)!
      for (const parts of pieces) within.receive(column, rowAddress(parts, place), rows * rowBytes(parts))
    }
  }

  // Partial sums for the other rows, and the partial sums that come from them.
  const partialStart = offsetsOf(
    shares.map((list, row) => (row === grid.row ? 0 : sum(list.map(({ rows }) => rows)))),
  )
  const partials = wires.map(wire => makeParts(partialStart.at(-1)!, wire))
  const incoming = indices(grid.rows).map(row => sharesOf(grid, plan, row))
  const incomingStart = offsetsOf(
    incoming.map((list, row) => (row === grid.row ? 0 : sum(list.map(({ rows }) => rows)))),
  )
  const received = wires.map(wire => makeParts(incomingStart.at(-1)!, wire))
  const receivedPlace = new Map<string, number>()
  const across = new ExchangePlan()
  for (const row of indices(grid.rows)) {
    if (row === grid.row) continue
    partials.forEach(parts => {
      const rows = partialStart[row + 1]! - partialStart[row]!
      across.send(rowAddress(parts, partialStart[row]!), rows * rowBytes(parts), [row])
    })
    received.forEach(parts => {
      const rows = incomingStart[row + 1]! - incomingStart[row]!
      across.receive(row, rowAddress(parts, incomingStart[row]!), rows * rowBytes(parts))
    })
    let next = incomingStart[row]!
    for (const { slot, rows } of incoming[row]!) {
      receivedPlace.set(`${row}/${slot}`, next)
      next += rows
    }
  }

  const partialReduces = pieces.map((parts, i) => {
    const reduce = new ReducePlan({
      operator: 'sum',
      out: partials[i]!,
      pieceDType: parts.dtype,
      accumulate: false,
    })
    shares.forEach((list, row) => {
      if (row === grid.row) return
      let next = partialStart[row]!
      for (const { slot, rows, sources } of list) {
        const addresses = sources.map(source => ({
          address: rowAddress(parts, placeOf.get(`${row}/${slot}/${source}`)!),
        }))
        reduce.slot(next, rows, 1, addresses)
        next += rows
      }
    })
    return reduce
  })
  const to = offsetsOf(plan.outputSplits)
  const finalReduces = pairs.map(({ output }, i) => {
    const wire = wires[i]!
    const reduce = new ReducePlan({
      operator: 'sum',
      out: output,
      pieceDType: wire.dtype,
      accumulate: true,
    })
    plan.sources.forEach((sources, slot) => {
      if (sources.length === 0 || plan.outputSplits[slot] === 0) return
      const rowsOfSources = [...new Set(sources.map(grid.rowOf))]
      const addresses = rowsOfSources.flatMap(row =>
        row === grid.row
          ? sources
              .filter(source => grid.rowOf(source) === row)
              .map(source => rowAddress(pieces[i]!, placeOf.get(`${row}/${slot}/${source}`)!))
          : [rowAddress(received[i]!, receivedPlace.get(`${row}/${slot}`)!)],
      )
      const divisor = reduceOp === 'avg' ? 1 + sources.length : 1
      reduce.slot(
        to[slot]!,
        plan.outputSplits[slot]!,
        divisor,
        addresses.map(address => ({ address })),
      )
    })
    return reduce
  })

  const inputs = pairs.map(({ input }) => input)
  const outputs = pairs.map(({ output }) => output)
  const first = grid.withinRow._run({
    call,
    steps: [within, ...partialReduces],
    borrowed: [...inputs, ...temporary],
    written: [],
    async_op: true,
  })
  return grid.betweenRows._run({
    call,
    steps: [across, ...finalReduces],
    after: first,
    borrowed: [...inputs, ...outputs],
    temporary,
    written: outputs,
    async_op,
  })
}

interface Share {
  /** Slot of the owner's output. */
  readonly slot: number
  readonly rows: number
  /** Members of the row that have a piece for it, ascending. */
  readonly sources: readonly number[]
}

/** The slots of an owner that a row of the mesh has pieces for. */
function sharesOf(grid: Grid, owner: GroupPlan, row: number): Share[] {
  return owner.outputSplits.flatMap((rows, slot) => {
    const sources = owner.sources[slot]!.filter(source => grid.rowOf(source) === row)
    return rows > 0 && sources.length > 0 ? [{ slot, rows, sources }] : []
  })
}

/** What a member of this row sends here, piece by piece: for which row's owner, and which of its slots. */
function arrivals(
  grid: Grid,
  plans: readonly GroupPlan[],
  column: number,
): { row: number; slot: number; rows: number }[] {
  const source = grid.memberAt(grid.row, column)
  const slots = indices(grid.rows).map(row => {
    const owner = plans[grid.memberAt(row, grid.column)]!
    return entriesFor(owner.outputSplits, owner.sources, source).values()
  })
  const { inputSplits, destinations } = plans[source]!
  return destinations.flatMap(([destination], piece) => {
    const isOurs = destination !== undefined && grid.columnOf(destination) === grid.column
    if (!isOurs || inputSplits[piece] === 0) return []
    const row = grid.rowOf(destination)
    const { index: slot, rows } = slots[row]!.next().value!
    return [{ row, slot, rows }]
  })
}
