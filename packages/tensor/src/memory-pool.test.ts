import { describe, expect, it } from 'vitest'
import { MemoryPool } from './memory-pool.js'

function makePool(maxBytes = 1000) {
  let next = 0
  const released: number[] = []
  const pool = new MemoryPool<number>({
    alignment: 10,
    maxBytes,
    allocate: () => next++,
    release: block => released.push(block),
  })
  return { pool, released }
}

describe('MemoryPool', () => {
  it('reuses a block for every size that rounds up to its own', () => {
    const { pool, released } = makePool()
    expect(pool.allocate(95)).toEqual([0, true])
    pool.recycle(0, 95)
    expect(pool.pooledBytes).toBe(100)
    expect(pool.allocate(80)).toEqual([1, true])
    expect(pool.allocate(100)).toEqual([0, false])
    expect(pool.pooledBytes).toBe(0)
    expect(pool.allocate(91)).toEqual([2, true])
    expect(released).toEqual([])
  })

  it('gives up the sizes used longest ago when it is full', () => {
    const { pool, released } = makePool(250)
    pool.recycle(1, 100)
    pool.recycle(2, 50)
    pool.recycle(3, 100)
    expect(released).toEqual([])
    pool.recycle(4, 40)
    expect(released).toEqual([2])
    expect(pool.pooledBytes).toBe(240)
  })

  it('does not keep what is larger than all it may keep, or more than 16 of a size', () => {
    const { pool, released } = makePool(1000)
    pool.recycle(1, 1001)
    expect(released).toEqual([1])
    for (let block = 10; block < 30; block++) pool.recycle(block, 10)
    expect(released).toEqual([1, 26, 27, 28, 29])
    expect(pool.pooledBytes).toBe(160)
  })

  it('gives up all blocks when it is cleared', () => {
    const { pool, released } = makePool()
    pool.recycle(1, 10)
    pool.recycle(2, 20)
    pool.clear()
    expect(released.sort()).toEqual([1, 2])
    expect(pool.pooledBytes).toBe(0)
    expect(pool.allocate(10)).toEqual([0, true])
  })
})
