import { ArgumentError } from '@magi-attention/common'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatBytes, formatDuration, formatTable } from './format.js'

describe('formatDuration', () => {
  it.each([
    [0, '0 ns'],
    [3.8e-7, '380 ns'],
    [1.234e-5, '12.3 µs'],
    [4.567e-3, '4.57 ms'],
    [0.9999, '1.00 s'],
    [1.2, '1.20 s'],
    [59.4, '59.4 s'],
    [59.9, '1 min 00 s'],
    [200, '3 min 20 s'],
    [3599.9, '1 h 00 min'],
    [7500, '2 h 05 min'],
    [-0.002, '-2.00 ms'],
  ])('writes %d s as %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text)
  })

  it('never shows more than three digits before the unit', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-9, max: 59, noNaN: true }), seconds => {
        expect(formatDuration(seconds)).toMatch(/^(\d{1,3}|\d\d\.\d|\d\.\d\d) (s|ms|µs|ns)$/)
      }),
    )
  })

  it('refuses what is not a finite number', () => {
    expect(() => formatDuration(Number.NaN)).toThrow(ArgumentError)
    expect(() => formatDuration(Number.POSITIVE_INFINITY)).toThrow(/^seconds: expected a finite number/)
  })
})

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [512, '512 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [1536, '1.50 KiB'],
    [64 * 2 ** 20, '64.0 MiB'],
    [2 ** 20 - 1, '1.00 MiB'],
    [140 * 2 ** 30, '140 GiB'],
    [3 * 2 ** 60, '3072 PiB'],
    [-2048, '-2.00 KiB'],
  ])('writes %d as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  it('refuses what is not a finite number', () => {
    expect(() => formatBytes(Number.NaN)).toThrow(ArgumentError)
  })
})

describe('formatTable', () => {
  it('sets numbers to the right and texts to the left', () => {
    const table = formatTable(
      ['mask', 'ms'],
      [
        ['full', 12],
        ['sliding window', 3.5],
      ],
    )
    expect(table.split('\n')).toEqual([
      'mask             ms',
      '--------------  ---',
      'full             12',
      'sliding window  3.5',
    ])
  })

  it('follows the alignment it is given', () => {
    expect(formatTable(['a', 'b'], [['1', 'x']], { align: ['right', 'right'] })).toBe('a  b\n-  -\n1  x')
    expect(formatTable(['size'], [['1 B']], { align: ['right'] })).toBe('size\n----\n 1 B')
  })

  it('writes the header alone when there are no rows', () => {
    expect(formatTable(['a', 'bc'], [])).toBe('a  bc\n-  --')
  })

  it('refuses a row of another length', () => {
    expect(() => formatTable(['a'], [['1', '2']])).toThrow(/^rows\[0\]: expected 1 cells/)
  })
})
