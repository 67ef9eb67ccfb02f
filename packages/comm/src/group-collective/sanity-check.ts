import { CommError } from '@magi-attention/common'
import { parseFlag } from '../check.js'
import { gatherIntegers } from '../gather-integers.js'
import type { ProcessGroup } from '../process-group.js'
import type { GroupPlan } from './group-plan.js'

/** The option, or else MAGI_ATTENTION_SANITY_CHECK. */
export function mustCheckPlans(option: boolean | undefined): boolean {
  return parseFlag('sanity_check', option, process.env.MAGI_ATTENTION_SANITY_CHECK === '1')
}

/** The plans of all members, by member. Every member must call this. */
export function gatherPlans(group: ProcessGroup, call: string, plan: GroupPlan): GroupPlan[] {
  return gatherIntegers(group, call, encodePlan(plan)).map(decodePlan)
}

function encodePlan({ inputSplits, outputSplits, destinations, sources }: GroupPlan): number[] {
  const side = (splits: readonly number[], sets: readonly (readonly number[])[]) => [
    splits.length,
    ...splits.flatMap((rows, i) => [rows, sets[i]!.length, ...sets[i]!]),
  ]
  return [...side(inputSplits, destinations), ...side(outputSplits, sources)]
}

function decodePlan(numbers: readonly number[]): GroupPlan {
  let position = 0
  const side = () => {
    const splits: number[] = []
    const sets: number[][] = []
    const length = numbers[position++]!
    for (let i = 0; i < length; i++) {
      splits.push(numbers[position]!)
      const end = position + 2 + numbers[position + 1]!
      sets.push(numbers.slice(position + 2, end))
      position = end
    }
    return [splits, sets] as const
  }
  const [inputSplits, destinations] = side()
  const [outputSplits, sources] = side()
  return { inputSplits, outputSplits, destinations, sources }
}

/** What a member has for another, or wants from it: entries of the plan that are not empty, in order. */
export function entriesFor(
  splits: readonly number[],
  sets: readonly (readonly number[])[],
  member: number,
): { index: number; rows: number }[] {
  return splits.flatMap((rows, index) => (rows > 0 && sets[index]!.includes(member) ? [{ index, rows }] : []))
}

/**
 * Compares the plans of all members: piece for piece, what one sends must be what the other expects. Every member must
 * call this, and all fail alike.
 * @throws CommError that names the first piece at fault
 */
export function checkPlans(group: ProcessGroup, call: string, plan: GroupPlan): void {
  comparePlans(group, call, gatherPlans(group, call, plan))
}

/** As `checkPlans`, for plans that are known. */
export function comparePlans(group: ProcessGroup, call: string, plans: readonly GroupPlan[]): void {
  plans.forEach((sender, from) => {
    plans.forEach((receiver, to) => {
      const sent = entriesFor(sender.inputSplits, sender.destinations, to)
      const wanted = entriesFor(receiver.outputSplits, receiver.sources, from)
      for (let i = 0; i < Math.max(sent.length, wanted.length); i++) {
        const piece = sent[i]
        const slot = wanted[i]
        if (piece?.rows === slot?.rows) continue
        const ranks = [group.ranks[from]!, group.ranks[to]!]
        throw new CommError(
          `${call}: the plans do not fit: from rank ${ranks[0]} to rank ${ranks[1]}, ` +
            `${piece ? `piece ${piece.index} has ${piece.rows} rows` : 'no piece is left'}, while ` +
            `${slot ? `slot ${slot.index} expects ${slot.rows}` : 'no slot is left'}`,
          { operation: call, ranks },
        )
      }
    })
  })
}
