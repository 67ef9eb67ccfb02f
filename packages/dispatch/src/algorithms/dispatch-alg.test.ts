import { describe, expect, it } from 'vitest'
import { BTPDispatchAlg } from './backtrack-pruning.js'
import { BatchToppHeapDispatchAlg } from './batch-topp-heap.js'
import { BSDispatchAlg } from './binary-search.js'
import { DispatchAlg } from './dispatch-alg.js'
import { DPDispatchAlg } from './dynamic-programming.js'
import { LBDispatchAlg } from './lower-bound.js'
import { MinHeapDispatchAlg } from './min-heap.js'
import { RandomSelectDispatchAlg } from './random-select.js'
import { SequentialDispatchAlg } from './sequential.js'
import { SortedSequentialSelectAlg } from './sorted-sequential-select.js'
import { ToppHeapDispatchAlg } from './topp-heap.js'

describe('DispatchAlg', () => {
  it.each([
    { alg: new LBDispatchAlg(), flags: '----', text: 'LBDispatchAlg()' },
    { alg: new DPDispatchAlg(), flags: 'o---', text: 'DPDispatchAlg()' },
    { alg: new BSDispatchAlg(), flags: 'op--', text: 'BSDispatchAlg()' },
    { alg: new MinHeapDispatchAlg(), flags: '-p--', text: 'MinHeapDispatchAlg()' },
    { alg: new ToppHeapDispatchAlg(), flags: '-pea', text: 'ToppHeapDispatchAlg(top_p=0)' },
    {
      alg: new BatchToppHeapDispatchAlg({ top_p: 0.5, num_of_select_chunk: 2 }),
      flags: '-pea',
      text: 'BatchToppHeapDispatchAlg(top_p=0.5, num_of_select_chunk=2)',
    },
    { alg: new BTPDispatchAlg(), flags: 'ope-', text: 'BTPDispatchAlg()' },
    { alg: new RandomSelectDispatchAlg({ seed: 3 }), flags: '-pe-', text: 'RandomSelectDispatchAlg(seed=3)' },
    { alg: new SequentialDispatchAlg(), flags: '-p--', text: 'SequentialDispatchAlg()' },
    {
      alg: new SortedSequentialSelectAlg(),
      flags: '-pe-',
      text: 'SortedSequentialSelectAlg(allocation_ratio=1)',
    },
  ])('$text tells what it does', ({ alg, flags, text }) => {
    const told = [
      alg.is_optimal ? 'o' : '-',
      alg.is_partitions_returned ? 'p' : '-',
      alg.is_equal_num_workloads ? 'e' : '-',
      alg.is_affinity_considered ? 'a' : '-',
    ]
    expect(told.join('')).toBe(flags)
    expect(String(alg)).toBe(text)
    expect(alg).toBeInstanceOf(DispatchAlg)
  })
})
