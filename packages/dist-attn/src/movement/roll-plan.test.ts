import { Sharding } from '@magi-attention/dispatch'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { planRoll } from './roll-plan.js'

/** Chunks dealt to ranks at random; every rank has one. */
const shardings = fc
  .record({
    total_seqlen: fc.integer({ min: 1, max: 60 }),
    chunk_size: fc.integer({ min: 1, max: 9 }),
    owners: fc.array(fc.nat(3), { minLength: 60, maxLength: 60 }),
  })
  .map(({ total_seqlen, chunk_size, owners }) => {
    const chunks = Array.from({ length: Math.ceil(total_seqlen / chunk_size) }, (_, chunk) => chunk)
    const used = [...new Set(chunks.map(chunk => owners[chunk]!))].sort()
    const partitions = used.map(owner => chunks.filter(chunk => owners[chunk] === owner))
    return new Sharding({ total_seqlen, chunk_size, partitions })
  })

/** The tokens of each rank, in its order. */
function shardsOf(sharding: Sharding): number[][] {
  return Array.from({ length: sharding.cp_size }, (_, rank) =>
    [...sharding.rangesOf(rank)].flatMap(({ start, end }) =>
      Array.from({ length: end - start }, (_, i) => start + i),
    ),
  )
}

it('brings every token to its place, in the order in which senders have them', () => {
  fc.assert(
    fc.property(shardings, fc.nat(59), (sharding, anyShift) => {
      const total = sharding.total_seqlen
      const shift = anyShift % total
      const shards = shardsOf(sharding)
      const plans = shards.map((_, rank) => planRoll(sharding, shift, rank))
      // What one rank has for another, as a queue.
      const queues = plans.map((plan, rank) => {
        const pieces: { to: number; tokens: number[] }[] = []
        let start = 0
        plan.input_split_sizes.forEach((size, i) => {
          pieces.push({ to: plan.dst_indices[i]![0]!, tokens: shards[rank]!.slice(start, start + size) })
          start += size
        })
        expect(start).toBe(shards[rank]!.length)
        return pieces
      })
      plans.forEach((plan, rank) => {
        const arrived = plan.src_index.flatMap((source, slot) => {
          const at = queues[source]!.findIndex(({ to }) => to === rank)
          const [piece] = queues[source]!.splice(at, 1)
          expect(piece!.tokens.length).toBe(plan.output_split_sizes[slot])
          return piece!.tokens
        })
        const rolled = plan.order.flatMap(({ start, length }) => arrived.slice(start, start + length))
        expect(rolled).toEqual(shards[rank]!.map(token => (token - shift + total) % total))
      })
      expect(queues.flat()).toEqual([])
    }),
  )
})
