import { ArgumentError, InvalidRangeError } from '@magi-attention/common'
import { describe, expect, it } from 'vitest'
import { IOUAffinity } from './iou-affinity.js'
import { SampleIDAffinity } from './sample-id-affinity.js'

describe('IOUAffinity', () => {
  const a = IOUAffinity.from_ranges([
    [0, 10],
    [15, 25],
    [30, 40],
  ])
  const b = IOUAffinity.from_ranges([
    [5, 20],
    [22, 35],
  ])

  it('is closer the more keys repeat', () => {
    expect(a.distance_to(b)).toBe(-18)
    expect(b.distance_to(a)).toBe(-18)
    expect(a.distance_to(a.emptied())).toBe(0)
  })

  it('finds the closest and the farthest, the first of several', () => {
    const far = IOUAffinity.from_ranges([[90, 99]])
    expect(a.get_closest_affinity_idx([far, b, b])).toBe(1)
    expect(a.get_farthest_affinity_idx([b, far, far])).toBe(1)
    expect(() => a.get_closest_affinity_idx([])).toThrow(ArgumentError)
    expect(() => a.get_farthest_affinity_idx([])).toThrow(/others/)
  })

  it('adds up, and leaves the other one alone', () => {
    const sum = a.emptied()
    sum.update(b)
    sum.update(b)
    sum.update(sum)
    expect(sum.ranges.to_naive_ranges()).toHaveLength(8)
    expect(b.ranges.to_naive_ranges()).toEqual([
      [5, 20],
      [22, 35],
    ])
    expect(a.ranges.length).toBe(3)
  })

  it('refuses bad ranges and affinities of another kind', () => {
    expect(() => IOUAffinity.from_ranges([[3, 1]])).toThrow(InvalidRangeError)
    expect(() => a.distance_to(SampleIDAffinity.from_list([1]))).toThrow(/'iou'.*'sample_id'/)
    expect(() => a.update({} as never)).toThrow(ArgumentError)
  })
})

describe('SampleIDAffinity', () => {
  it('counts how often the other one has its most frequent sample', () => {
    const self = SampleIDAffinity.from_list([4, 7, 7])
    expect(self.distance_to(SampleIDAffinity.from_list([7, 4, 7, 7]))).toBe(-3)
    expect(self.distance_to(SampleIDAffinity.from_list([4]))).toBe(0)
    expect(self.emptied().distance_to(self)).toBe(0)
  })

  it('takes the first of samples that are equally frequent', () => {
    const other = SampleIDAffinity.from_list([1, 2, 2])
    expect(SampleIDAffinity.from_list([1, 2]).distance_to(other)).toBe(-1)
    expect(SampleIDAffinity.from_list([2, 1]).distance_to(other)).toBe(-2)
  })

  it('adds up, also to itself', () => {
    const sum = SampleIDAffinity.from_list([3])
    sum.update(SampleIDAffinity.from_list([5, 3]))
    sum.update(sum)
    expect(sum.sample_ids).toEqual([3, 5])
    expect([sum.count(3), sum.count(5), sum.count(9)]).toEqual([4, 2, 0])
  })

  it('finds the closest', () => {
    const self = SampleIDAffinity.from_list([1])
    const others = [[2], [1], [1, 1], [1, 1]].map(ids => SampleIDAffinity.from_list(ids))
    expect(self.get_closest_affinity_idx(others)).toBe(2)
    expect(self.get_farthest_affinity_idx(others)).toBe(0)
  })

  it('refuses ids that are not integers and affinities of another kind', () => {
    expect(() => SampleIDAffinity.from_list([0, -1])).toThrow(/sample_ids\[1\]/)
    expect(() => SampleIDAffinity.from_list([1]).distance_to(IOUAffinity.from_ranges([]))).toThrow(
      ArgumentError,
    )
    expect(() => SampleIDAffinity.from_list([1]).update(IOUAffinity.from_ranges([]))).toThrow(/'sample_id'/)
  })
})
