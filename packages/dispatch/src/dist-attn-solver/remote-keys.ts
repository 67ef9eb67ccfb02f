import type { BandIncidence } from './band-incidence.js'
import { type RangeTable, RangeTableBuilder } from './range-table.js'
import type { Sharding } from './sharding.js'

/**
 * The keys that each rank must receive: those that some cell in its rows needs, without those that it holds
 * itself. No other key is in the table. O(m log m) for `m` pairs of a query run and a band in it.
 *
 * @param keys - where the keys are
 */
export function remoteKeys(incidence: BandIncidence, keys: Sharding): RangeTable {
  const table = new RangeTableBuilder()
  for (let rank = 0; rank < keys.cp_size; rank++) {
    const needed: { start: number; end: number }[] = []
    incidence.forEachBand(rank, ({ k0, k1 }) => {
      const last = needed.at(-1)
      if (last?.start === k0) last.end = Math.max(last.end, k1)
      else needed.push({ start: k0, end: k1 })
    })
    needed.sort((a, b) => a.start - b.start)

    const held = keys.runsOf(rank)
    let next = 0
    let done = 0
    for (const { start, end } of needed) {
      let from = Math.max(start, done)
      done = Math.max(done, end)
      while (next < held.length && keys.runEnds[held[next]!]! <= from) next++
      for (let i = next; i < held.length && keys.runStarts[held[i]!]! < end; i++) {
        table.push(from, keys.runStarts[held[i]!]!)
        from = Math.max(from, keys.runEnds[held[i]!]!)
      }
      table.push(from, end)
    }
    table.endRow()
  }
  return table.build()
}
