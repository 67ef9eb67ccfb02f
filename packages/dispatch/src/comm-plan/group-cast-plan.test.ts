import { AttnRanges, GroupCastRanges, IndexError, type NaiveRange } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RangeTableBuilder } from '../dist-attn-solver/range-table.js'
import { Sharding } from '../dist-attn-solver/sharding.js'
import { GroupCastPlan } from './group-cast-plan.js'

function tableOf(rows: readonly AttnRanges[]) {
  const builder = new RangeTableBuilder()
  for (const row of rows) {
    for (const { start, end } of row) builder.push(start, end)
    builder.endRow()
  }
  return builder.build()
}

const ranges = (...pairs: NaiveRange[]) => AttnRanges.from_ranges(pairs)

describe('GroupCastPlan', () => {
  it('cuts what it sends at all ends of wishes', () => {
    const owner = new Sharding({ total_seqlen: 12, chunk_size: 12, partitions: [[0], [], []] })
    const wanted = tableOf([ranges(), ranges([0, 4], [8, 10]), ranges([2, 6])])
    const plan = new GroupCastPlan(owner, wanted)
    expect(plan.send(0)).toEqual({
      input_split_size_list: [2, 2, 2, 2, 2, 2],
      dst_indices_list: [[1], [1, 2], [2], [], [1], []],
    })
    expect(plan.receive(1)).toEqual({ output_split_size_list: [2, 2, 2], src_index_list: [0, 0, 0] })
    expect(plan.receive(2)).toEqual({ output_split_size_list: [2, 2], src_index_list: [0, 0] })
    expect(plan.receive(0)).toEqual({ output_split_size_list: [], src_index_list: [] })
    expect(plan.send(1)).toEqual({ input_split_size_list: [], dst_indices_list: [] })
    expect(plan.rowsBetween(0, 1).to_naive_ranges()).toEqual([
      [0, 4],
      [8, 10],
    ])
  })

  it('joins unsent rows over runs, but not rows that are sent', () => {
    const owner = new Sharding({
      total_seqlen: 10,
      chunk_size: 2,
      partitions: [
        [0, 2, 4],
        [1, 3],
      ],
    })
    const plan = new GroupCastPlan(owner, tableOf([ranges(), ranges([0, 1])]))
    expect(plan.send(0)).toEqual({ input_split_size_list: [1, 5], dst_indices_list: [[1], []] })
    expect(plan.send(1)).toEqual({ input_split_size_list: [4], dst_indices_list: [[]] })
    const both = new GroupCastPlan(owner, tableOf([ranges(), ranges([0, 2], [4, 6])]))
    expect(both.send(0)).toEqual({ input_split_size_list: [2, 2, 2], dst_indices_list: [[1], [1], []] })
  })

  it('cuts as GroupCastRanges does, and covers the buffer', () => {
    const wish = fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 30 }))
    const problem = fc.record({
      owners: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 10, maxLength: 10 }),
      wishes: fc.array(fc.array(wish, { maxLength: 5 }), { minLength: 4, maxLength: 4 }),
    })
    fc.assert(
      fc.property(problem, ({ owners, wishes }) => {
        const partitions = [0, 1, 2, 3].map(rank =>
          owners.flatMap((owner, chunk) => (owner === rank ? [chunk] : [])),
        )
        const owner = new Sharding({ total_seqlen: 30, chunk_size: 3, partitions })
        const wanted = wishes.map((pairs, rank) =>
          AttnRanges.from_ranges(pairs.map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const))
            .clear_empty()
            .find_hole_ranges(owner.rangesOf(rank)),
        )
        const plan = new GroupCastPlan(owner, tableOf(wanted))
        for (let rank = 0; rank < 4; rank++) {
          const held = owner.rangesOf(rank)
          const local = wanted.map(rows =>
            held.is_empty() ? new AttnRanges() : held.make_ranges_local(held.find_overlap_ranges(rows, true)),
          )
          const expected = [...new GroupCastRanges(4, local)]
          const { input_split_size_list: sizes, dst_indices_list: ranks } = plan.send(rank)
          let start = 0
          const sent = sizes.flatMap((size, i) => {
            start += size
            return ranks[i]!.length === 0 ? [] : [{ range: [start - size, start], ranks: ranks[i] }]
          })
          expect(start).toBe(owner.seqlenOf(rank))
          expect(sent).toEqual(
            expected.map(({ range, ranks }) => ({ range: range.to_naive_range(), ranks: [...ranks] })),
          )
          expect(ranks.some((to, i) => i > 0 && to.length + ranks[i - 1]!.length === 0)).toBe(false)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('refuses ranks that do not exist', () => {
    const owner = new Sharding({ total_seqlen: 4, chunk_size: 4, partitions: [[0]] })
    const plan = new GroupCastPlan(owner, tableOf([ranges()]))
    expect(() => plan.send(1)).toThrow(IndexError)
    expect(() => plan.receive(-1)).toThrow(IndexError)
  })
})
