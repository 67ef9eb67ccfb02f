import { describe, expect, it } from 'vitest'
import type { NaiveRange } from '../attn-range.js'
import { ArgumentError } from '../errors/index.js'
import { AttnBucket } from './attn-bucket.js'
import { AttnChunk } from './attn-chunk.js'
import { AttnSlice } from './attn-slice.js'

const chunk = (chunk_id: number, ...slices: [q: NaiveRange, k: NaiveRange][]) =>
  new AttnChunk({
    chunk_id,
    q_slices: slices.map(
      ([q_range, k_range], i) => new AttnSlice({ slice_id: i, mask_type: 'full', q_range, k_range }),
    ),
    sample_ids: slices.map((_, i) => i),
  })
const first = () =>
  chunk(
    0,
    [
      [0, 1],
      [0, 10],
    ],
    [
      [1, 2],
      [15, 25],
    ],
    [
      [2, 3],
      [30, 40],
    ],
  )
const second = () =>
  chunk(
    1,
    [
      [3, 4],
      [5, 20],
    ],
    [
      [4, 5],
      [22, 35],
    ],
  )

describe('AttnChunk', () => {
  it('collects its slices', () => {
    expect(`${first().q_ranges}`).toBe('[[0, 1), [1, 2), [2, 3)]')
    expect(`${first().k_ranges}`).toBe('[[0, 10), [15, 25), [30, 40)]')
    expect([first().area, first().attn_slices.length, first().sample_ids]).toEqual([30, 3, [0, 1, 2]])
  })

  it('measures how keys repeat', () => {
    expect(first().iou).toBe(0)
    expect(first().iou_with(second())).toBe(18 / 58)
    expect(
      chunk(
        0,
        [
          [0, 1],
          [0, 4],
        ],
        [
          [1, 2],
          [2, 6],
        ],
      ).iou,
    ).toBe(2 / 8)
    expect([new AttnChunk().iou, new AttnChunk().iou_with(new AttnChunk())]).toEqual([0, 0])
  })

  it('is filled step by step', () => {
    const empty = new AttnChunk({ chunk_id: 3 })
    empty.q_slices.push(...first().q_slices)
    expect([empty.area, new AttnChunk().area]).toEqual([30, 0])
    expect(() => new AttnChunk({ chunk_id: 0.5 })).toThrow(ArgumentError)
  })
})

describe('AttnBucket', () => {
  it('collects its chunks', () => {
    const bucket = new AttnBucket({ cp_rank: 1, q_chunks: [first(), second()] })
    expect([bucket.area, bucket.areas, bucket.attn_slices.length]).toEqual([58, [30, 28], 5])
    expect(`${bucket.q_ranges}`).toBe('[[0, 1), [1, 2), [2, 3), [3, 4), [4, 5)]')
    expect(bucket.k_ranges.length).toBe(5)
    expect(bucket.iou).toBe(18 / 58)
    const alone = (q_chunk: AttnChunk) => new AttnBucket({ q_chunks: [q_chunk] })
    expect(alone(first()).iou_with(alone(second()))).toBe(18 / 58)
  })

  it('may be empty', () => {
    const bucket = new AttnBucket()
    expect([bucket.area, bucket.areas, bucket.iou, bucket.cp_rank]).toEqual([0, [], 0, null])
    expect(() => new AttnBucket({ cp_rank: -1 })).toThrow(ArgumentError)
  })
})
