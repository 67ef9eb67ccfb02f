/** Products of one row with consecutive rows of a matrix. Four matrix rows at a time: one alone waits for its own sums. */

/** A row of `dim` numbers that starts at `offset`. */
export interface Row {
  readonly data: Float64Array
  readonly offset: number
}

/** Rows of a matrix: row r starts at `offset + r * stride`. */
export interface Rows extends Row {
  readonly stride: number
}

/** `result[r] = row · matrix[begin + r]` for `r < end - begin` */
export function dotWithRows(
  row: Row,
  matrix: Rows,
  begin: number,
  end: number,
  dim: number,
  result: Float64Array,
): void {
  const { data: a, offset: aOffset } = row
  const { data: m, offset, stride } = matrix
  let r = begin
  for (; r + 4 <= end; r += 4) {
    const m0 = offset + r * stride
    const m1 = m0 + stride
    const m2 = m1 + stride
    const m3 = m2 + stride
    let s0 = 0
    let s1 = 0
    let s2 = 0
    let s3 = 0
    for (let d = 0; d < dim; d++) {
      const x = a[aOffset + d]!
      s0 += x * m[m0 + d]!
      s1 += x * m[m1 + d]!
      s2 += x * m[m2 + d]!
      s3 += x * m[m3 + d]!
    }
    result[r - begin] = s0
    result[r - begin + 1] = s1
    result[r - begin + 2] = s2
    result[r - begin + 3] = s3
  }
  for (; r < end; r++) {
    const m0 = offset + r * stride
    let sum = 0
    for (let d = 0; d < dim; d++) sum += a[aOffset + d]! * m[m0 + d]!
    result[r - begin] = sum
  }
}

/** `row += Σ_r weights[r] * matrix[begin + r]` for `r < end - begin` */
export function addWeightedRows(
  row: Row,
  weights: Float64Array,
  matrix: Rows,
  begin: number,
  end: number,
  dim: number,
): void {
  const { data: a, offset: aOffset } = row
  const { data: m, offset, stride } = matrix
  let r = begin
  for (; r + 4 <= end; r += 4) {
    const m0 = offset + r * stride
    const m1 = m0 + stride
    const m2 = m1 + stride
    const m3 = m2 + stride
    const w0 = weights[r - begin]!
    const w1 = weights[r - begin + 1]!
    const w2 = weights[r - begin + 2]!
    const w3 = weights[r - begin + 3]!
    for (let d = 0; d < dim; d++) {
      a[aOffset + d]! += w0 * m[m0 + d]! + w1 * m[m1 + d]! + (w2 * m[m2 + d]! + w3 * m[m3 + d]!)
    }
  }
  for (; r < end; r++) {
    const m0 = offset + r * stride
    const w = weights[r - begin]!
    for (let d = 0; d < dim; d++) a[aOffset + d]! += w * m[m0 + d]!
  }
}

/** Rows that `addOuterProducts` takes at a time. */
export const BLOCK_ROWS = 4

/**
 * `matrix[j] += Σ_r weights[r][j] * rows[r]` for `begin <= j < end`, over the first `count` of BLOCK_ROWS rows. Four at a
 * time, since each alone would read and write the whole matrix. The weights of absent rows must be 0.
 */
export function addOuterProducts(
  matrix: Rows,
  weights: readonly Float64Array[],
  rows: Rows,
  count: number,
  begin: number,
  end: number,
  dim: number,
): void {
  const { data: a, offset: aOffset, stride: aStride } = rows
  const { data: m, offset, stride } = matrix
  const [w0, w1, w2, w3] = weights as [Float64Array, Float64Array, Float64Array, Float64Array]
  const a1 = aOffset + Math.min(1, count - 1) * aStride
  const a2 = aOffset + Math.min(2, count - 1) * aStride
  const a3 = aOffset + Math.min(3, count - 1) * aStride
  for (let j = begin; j < end; j++) {
    const m0 = offset + j * stride
    const x0 = w0[j]!
    const x1 = w1[j]!
    const x2 = w2[j]!
    const x3 = w3[j]!
    if (x0 === 0 && x1 === 0 && x2 === 0 && x3 === 0) continue
    for (let d = 0; d < dim; d++) {
      m[m0 + d]! += x0 * a[aOffset + d]! + x1 * a[a1 + d]! + (x2 * a[a2 + d]! + x3 * a[a3 + d]!)
    }
  }
}
