import { from_typed_array } from '@magi-attention/tensor'
import { ExchangePlan } from './backend/exchange-plan.js'
import type { ProcessGroup } from './process-group.js'

/** What every member contributes, by member. Small lists: plans, statuses. */
export function gatherIntegers(group: ProcessGroup, call: string, values: readonly number[]): number[][] {
  const lengths = gatherEqual(group, call, [values.length])
  const longest = Math.max(...lengths.map(([length]) => length!))
  if (longest === 0) return lengths.map(() => [])
  const padded = [...values, ...new Array<number>(longest - values.length).fill(0)]
  return gatherEqual(group, call, padded).map((row, member) => row.slice(0, lengths[member]![0]))
}

function gatherEqual(group: ProcessGroup, call: string, values: readonly number[]): number[][] {
  const size = group.size()
  const source = Float64Array.from(values)
  const target = new Float64Array(size * values.length)
  using input = from_typed_array(source)
  using output = from_typed_array(target)
  const everyone = group.ranks.map((_, member) => member)
  const plan = new ExchangePlan().send(input.data_ptr(), source.byteLength, everyone)
  for (const member of everyone) {
    plan.receive(member, output.data_ptr() + BigInt(member * source.byteLength), source.byteLength)
  }
  group._run({ call, steps: [plan], borrowed: [input, output], written: [], async_op: false })
  return everyone.map(member => [...target.subarray(member * values.length, (member + 1) * values.length)])
}
