import type { Tensor } from '@magi-attention/tensor'
import { dtypeCode } from '@magi-attention/tensor/internal'

/** How partial results become one. avg is sum with a divisor. */
export type ReduceOperator = 'sum' | 'max' | 'lse'

const operatorCodes: Readonly<Record<ReduceOperator, number>> = { sum: 0, max: 1, lse: 2 }

export interface ReducePiece {
  readonly address: bigint
  /** For `lse`: its float32 lse `[rows, heads]`. */
  readonly lseAddress?: bigint | undefined
}

export interface ReducePlanOptions {
  readonly operator: ReduceOperator
  /** `[rows, ...]`; combined in float32 or wider, and rounded once. */
  readonly out: Tensor
  /** Dtype of the pieces. */
  readonly pieceDType: Tensor['dtype']
  /** Whether what `out` holds counts as the first piece. */
  readonly accumulate: boolean
  /** Elements of a row. Default: what lies behind dimension 0 of `out`. */
  readonly rowElements?: number | undefined
  /** For `lse`: float32 `[rows, heads]`. */
  readonly outLse?: Tensor | undefined
}

/** Which rows of a tensor are combined with which pieces of memory, in which order. */
export class ReducePlan {
  readonly #head: bigint[]
  readonly #slots: bigint[] = []
  #numSlots = 0

  constructor(options: ReducePlanOptions) {
    const { out, outLse } = options
    const perRow = (tensor: Tensor) => tensor.shape.slice(1).reduce((product, size) => product * size, 1)
    this.#head = [
      BigInt(operatorCodes[options.operator]),
      BigInt(dtypeCode(out.dtype)),
      BigInt(dtypeCode(options.pieceDType)),
      BigInt(options.accumulate),
      BigInt(options.rowElements ?? perRow(out)),
      BigInt(outLse ? perRow(outLse) : 1),
      out.data_ptr(),
      outLse?.data_ptr() ?? 0n,
    ]
  }

  slot(firstRow: number, rows: number, divisor: number, pieces: readonly ReducePiece[]): this {
    this.#slots.push(BigInt(firstRow), BigInt(rows), BigInt(divisor), BigInt(pieces.length))
    for (const { address, lseAddress } of pieces) this.#slots.push(address, lseAddress ?? 0n)
    this.#numSlots++
    return this
  }

  /** As the native library reads it. */
  encode(): BigInt64Array {
    const numbers = this.#head.concat(BigInt(this.#numSlots), this.#slots)
    return BigInt64Array.from(numbers)
  }
}
