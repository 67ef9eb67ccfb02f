/** Lengths of documents packed into 1,048,576 tokens: long-tailed, none over a quarter of the total. */
const lengthsOfOneMillion = [
  33824, 72848, 34848, 31872, 17232, 35296, 132816, 66768, 123216, 56032, 64832, 52576, 8256, 102752, 72480,
  71936, 8048, 7632, 17936, 27344, 10032,
]

/** The same mixture in 262,144 tokens. */
export const lengthsOf256K = [
  8448, 18208, 8704, 7968, 4304, 8816, 33200, 16688, 30800, 14000, 16208, 13136, 2064, 25680, 18112, 17984,
  2000, 1904, 4480, 6832, 2608,
]

type Range = [number, number]

/** Each document in blocks that see all of it up to their own end; documents grow with the total. */
export function blockCausalDocuments(total: number, blockSize = 4096, lengths = scaledTo(total)) {
  const q_ranges: Range[] = []
  const k_ranges: Range[] = []
  let start = 0
  for (const length of lengths) {
    const end = start + length
    for (let block = start; block < end; block += blockSize) {
      const stop = Math.min(end, block + blockSize)
      q_ranges.push([block, stop])
      k_ranges.push([start, stop])
    }
    start = end
  }
  return { q_ranges, k_ranges, attn_mask_type: 'full' as const }
}

export function causalDocuments(lengths: readonly number[]) {
  let start = 0
  const ranges = lengths.map((length): Range => {
    start += length
    return [start - length, start]
  })
  return { q_ranges: ranges, k_ranges: ranges, attn_mask_type: 'causal' as const }
}

function scaledTo(total: number): number[] {
  return lengthsOfOneMillion.map(length => (length * total) / 2 ** 20)
}
