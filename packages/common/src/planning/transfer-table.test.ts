import { describe, expect, it } from 'vitest'
import { ArgumentError, IndexError, ShapeError } from '../errors/index.js'
import { TransferTable } from './transfer-table.js'

describe('TransferTable', () => {
  it('keeps three lists for each pair of ranks', () => {
    const table = new TransferTable(2)
    table.append(1, 0, [[2, 6]], [[0, 4]], [[0, 4]])
    table.append(1, 0, [[10, 14]], [[4, 8]], [[4, 8]])
    const entry = table.get(1, 0)
    expect(`${entry.k_ranges}`).toBe('[[2, 6), [10, 14)]')
    expect(`${entry.k_ranges_local_in_send_buf}`).toBe('[[0, 4), [4, 8)]')
    expect(`${entry.k_ranges_local_in_recv_buf}`).toBe('[[0, 4), [4, 8)]')
    expect(table.get(0, 1).k_ranges.is_empty()).toBe(true)
    expect(table.get(1, 1).k_ranges.is_empty()).toBe(true)
  })

  it('refuses ranks that do not exist, and lists that do not pair up', () => {
    const table = new TransferTable(2)
    expect(() => table.get(2, 0)).toThrow(IndexError)
    expect(() => table.get(0, -1)).toThrow(IndexError)
    expect(() => table.append(0, 1, [[2, 6]], [[0, 3]], [[0, 4]])).toThrow(ShapeError)
    expect(() => table.append(0, 1, [[2, 6]], [[0, 4]], [])).toThrow(ShapeError)
    expect(table.get(0, 1).k_ranges.is_empty()).toBe(true)
    expect(() => new TransferTable(0)).toThrow(ArgumentError)
  })
})
