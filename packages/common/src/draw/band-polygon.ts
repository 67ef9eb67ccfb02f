import type { Band } from '../rectangle-slices.js'
import type { PlotArea } from './mask-axes.js'
import { roundPixels } from './svg-text.js'

/** A point in tokens: `x` along the keys, `y` along the queries. */
export type Point = readonly [x: number, y: number]

/**
 * Outline of a tight band, its rectangle clipped by the two diagonals (Sutherland and Hodgman, 1974).
 *
 * The cell of query `i` and key `j` is the unit square at `(j, i)`. The cells of a diagonal edge form a
 * staircase; the straight line through the middle of the steps stands for it, so a diagonal one cell wide
 * stays one cell wide. An edge that cuts nothing is left out, so corners stay sharp.
 */
export function bandPolygon({ q0, q1, k0, k1, lo, hi }: Band): Point[] {
  const corners: Point[] = [
    [k0, q0],
    [k1, q0],
    [k1, q1],
    [k0, q1],
  ]
  const cutsRight = hi < k1 - 1 - q0
  const cutsLeft = lo > k0 - (q1 - 1)
  const right = cutsRight ? clip(corners, ([x, y]) => hi + 0.5 - (x - y)) : corners
  return cutsLeft ? clip(right, ([x, y]) => x - y - (lo - 0.5)) : right
}

/** The same as path data within a plot. */
export function bandOutline(band: Band, { x, y, width, height, rows, cols }: PlotArea): string {
  const points = bandPolygon(band).map(
    ([k, q]) => `${roundPixels(x + (k * width) / cols)} ${roundPixels(y + (q * height) / rows)}`,
  )
  // Corners closer than a hundredth of a pixel are one.
  return `M${points.filter((point, i) => i === 0 || point !== points[i - 1]).join('L')}z`
}

/** The part of a convex polygon where `distance`, a linear function, is not negative. */
function clip(polygon: readonly Point[], distance: (point: Point) => number): Point[] {
  return polygon.flatMap((to, i) => {
    const from = polygon.at(i - 1)!
    const [a, b] = [distance(from), distance(to)]
    const isCrossing = a < 0 !== b < 0
    const crossing = (): Point => {
      const t = a / (a - b)
      return [from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1])]
    }
    return [...(isCrossing ? [crossing()] : []), ...(b < 0 ? [] : [to])]
  })
}
