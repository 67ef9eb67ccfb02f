import { ArgumentError } from '@magi-attention/common'
import { parseSlices, slicesToBands } from '../chunks/mask-slices.js'
import { disjointBands } from '../dist-attn-solver/disjoint-bands.js'
import type { HeadSizes } from '../dist-attn-solver/dist-attn-plan.js'
import type { DistAttnProblem } from '../dist-attn-solver/dist-attn-solver.js'
import { Sharding } from '../dist-attn-solver/sharding.js'
import { requireInteger, requireOptions } from '../validate.js'
import { assignByQuery, assignTiles } from './assign.js'
import type { Assignment } from './assignment.js'
import { DynamicAttnAlgType, requireDynamicAttnAlgType } from './dynamic-attn-alg-type.js'
import { DynamicAttnPlan } from './dynamic-attn-plan.js'
import { rowBytes } from './row-bytes.js'
import { makeWorkGrid } from './work-grid.js'

export interface DynamicAttnSolverOptions extends HeadSizes {
  /** Default `binary_greedy`. */
  readonly alg?: DynamicAttnAlgType | undefined
  /** Largest work of a rank over the mean, above 1. Default 1.1. */
  readonly max_imbalance?: number | undefined
  /** Size of the dtype on the wire. Default 2: bfloat16, float16. */
  readonly bytes_per_element?: number | undefined
  /** Whether sums over ranks take a fixed order. Default false. */
  readonly deterministic?: boolean | undefined
}

/**
 * The dynamic solver of distributed attention: queries and keys both travel, and outputs go back. It pays
 * where moving keys alone is wasteful: few queries that see many keys, or dense masks on many ranks when q
 * and out are not much larger than k and v.
 *
 * The mask is cut into tiles, the queries of a piece of one rank on the keys of a piece of another one, and
 * each tile is given to a rank. No rank computes more than `max_imbalance` times the mean, for any mask with
 * at least `1 / (max_imbalance - 1)` cells for each rank; with fewer, at most one cell more than the mean.
 * Where the rank of each query computing its own row keeps that limit, the result never moves more bytes, so
 * never more than the static solver; where it does not, balance may cost bytes.
 *
 * A pure function of the mask, the sharding and the options: all ranks find the same. Meant for up to some
 * hundred ranks: it looks at every pair of a query run and a key run that the mask connects. Beyond 13 million
 * pairs of a tile and a rank, some 250 ranks on a dense mask, it tries fewer ways to assign them.
 */
export class DynamicAttnSolver {
  readonly alg: DynamicAttnAlgType
  readonly max_imbalance: number
  private readonly heads: HeadSizes
  private readonly bytesPerElement: number
  private readonly deterministic: boolean

  /** @throws `ArgumentError` for sizes that are not positive integers, and other bad options */
  constructor(options: DynamicAttnSolverOptions) {
    requireOptions(options, 'options', '{ num_heads_q, num_heads_kv, head_dim, … }')
    const num_heads_q = requireInteger(options.num_heads_q, 'num_heads_q', 1)
    const num_heads_kv = requireInteger(options.num_heads_kv, 'num_heads_kv', 1)
    if (num_heads_q % num_heads_kv !== 0) {
      const expected = `a multiple of num_heads_kv = ${num_heads_kv}`
      throw new ArgumentError({ argument: 'num_heads_q', expected, actual: num_heads_q })
    }
    this.heads = { num_heads_q, num_heads_kv, head_dim: requireInteger(options.head_dim, 'head_dim', 1) }
    const { alg = DynamicAttnAlgType.BINARY_GREEDY, max_imbalance = 1.1, deterministic = false } = options
    this.alg = requireDynamicAttnAlgType(alg, 'alg')
    if (
      typeof max_imbalance !== 'number' ||
      !(max_imbalance > 1) ||
      max_imbalance === Number.POSITIVE_INFINITY
    ) {
      throw new ArgumentError({
        argument: 'max_imbalance',
        expected: 'a finite number > 1',
        actual: max_imbalance,
      })
    }
    this.max_imbalance = max_imbalance
    this.bytesPerElement = requireInteger(options.bytes_per_element ?? 2, 'bytes_per_element', 1)
    if (typeof deterministic !== 'boolean') {
      throw new ArgumentError({ argument: 'deterministic', expected: 'a boolean', actual: deterministic })
    }
    this.deterministic = deterministic
  }

  /**
   * The plan of all ranks; `solveRank` gives the part of one.
   * @throws `InvalidRangeError` for ranges that are malformed or leave the sequence
   * @throws `ShapeError` for lists of different lengths
   * @throws `ArgumentError` for an unknown mask type or a sharding that cannot be
   */
  solve(problem: DistAttnProblem): DynamicAttnPlan {
    requireOptions(problem, 'problem', '{ q_ranges, k_ranges, attn_mask_type, dispatch_meta_q, … }')
    const queries = new Sharding(problem.dispatch_meta_q, 'dispatch_meta_q')
    const { dispatch_meta_k } = problem
    const keys = dispatch_meta_k === undefined ? queries : new Sharding(dispatch_meta_k, 'dispatch_meta_k')
    if (queries.cp_size !== keys.cp_size) {
      const expected = `${queries.cp_size} ranks, as many as dispatch_meta_q has`
      throw new ArgumentError({ argument: 'dispatch_meta_k', expected, actual: keys.cp_size })
    }
    const slices = parseSlices(problem, queries.total_seqlen, keys.total_seqlen)
    const { forward, backward } = rowBytes(this.heads, this.bytesPerElement)
    const grid = makeWorkGrid({
      bands: disjointBands(slicesToBands(slices)),
      queries,
      keys,
      rowBytes: { q: forward.q + backward.q, k: forward.k + backward.k },
      maxImbalance: this.max_imbalance,
    })
    const plan = this.makePlan(assignTiles(grid, this.alg))
    if (this.alg === DynamicAttnAlgType.NON_COMMUNICATION_QO) return plan
    const byQuery = assignByQuery(grid)
    if (!byQuery.isBalanced) return plan
    // The search estimates bytes; between the two plans the true ones decide.
    const other = this.makePlan(byQuery)
    return bytesOf(other) <= bytesOf(plan) ? other : plan
  }

  private makePlan(assignment: Assignment): DynamicAttnPlan {
    return new DynamicAttnPlan({
      ...this.heads,
      assignment,
      rowBytes: rowBytes(this.heads, this.bytesPerElement),
      deterministic: this.deterministic,
    })
  }
}

function bytesOf({ volume }: DynamicAttnPlan): number {
  return volume.forward + volume.backward
}
