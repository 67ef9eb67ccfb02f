const KI = 1024

/** Positions of ticks from 0 on, at most `count` steps, at round numbers: powers of two for such lengths. */
export function tickPositions(length: number, count: number): number[] {
  if (length === 0) return []
  const step = tickStep(length, count)
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, i) => i * step)
}

/** The least round step that gives at most `count` steps. */
function tickStep(length: number, count: number): number {
  const least = Math.max(1, length / Math.max(1, count))
  if (length % KI === 0 || isPowerOfTwo(length)) return 2 ** Math.ceil(Math.log2(least))
  const power = 10 ** Math.floor(Math.log10(least))
  return [1, 2, 5, 10].map(factor => factor * power).find(step => step >= least * (1 - 1e-12)) ?? 10 * power
}

/** `4096` as `4Ki`, `200000` as `200k`; a position that is not round stays as it is. */
export function formatTokens(position: number): string {
  if (position === 0) return '0'
  if (position % KI ** 3 === 0) return `${position / KI ** 3}Gi`
  if (position % KI ** 2 === 0) return `${position / KI ** 2}Mi`
  if (position % 1e9 === 0) return `${position / 1e9}G`
  if (position % 1e6 === 0) return `${position / 1e6}M`
  if (position % KI === 0) return `${position / KI}Ki`
  if (position >= 10_000 && position % 1000 === 0) return `${position / 1000}k`
  return String(position)
}

/** `1234567` as `1,234,567`, whatever the locale. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** `0.3203` as `32 %`; a share that is not 0 or 1 is never shown as 0 or 100. */
export function formatShare(share: number): string {
  if (share === 0 || share === 1) return `${share * 100} %`
  if (share < 0.001) return '< 0.1 %'
  if (share > 0.999) return '> 99.9 %'
  return `${(share * 100).toFixed(share < 0.1 || share > 0.99 ? 1 : 0)} %`
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value))
}
