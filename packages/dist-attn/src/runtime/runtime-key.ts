import { createHash } from 'node:crypto'
import type { DeviceMesh, ProcessGroup } from '@magi-attention/comm'
import { ArgumentError, type AttnMaskType, type AttnRanges } from '@magi-attention/common'
import type { DType } from '@magi-attention/tensor'
import type { DistAttnConfig } from '../dist-attn-config.js'
import type { RuntimeSwitches } from '../env.js'

/** Numbers of heads and their size, where they are known when the key is made. */
export interface AttnHeads {
  readonly num_heads_q: number
  readonly num_heads_kv: number
  readonly head_dim: number
}

/** @internal */
export interface RuntimeKeyFields {
  readonly q_ranges: AttnRanges
  readonly k_ranges: AttnRanges
  readonly attn_mask_type: readonly AttnMaskType[]
  readonly total_seqlen: number
  readonly heads: AttnHeads | null
  readonly pad_size: number
  readonly chunk_size: number
  readonly cp_group: ProcessGroup
  readonly cp_mesh: DeviceMesh | null
  readonly dist_attn_config: DistAttnConfig
  readonly uneven_shard: boolean
  readonly switches: RuntimeSwitches
  readonly key_for_dispatch: DistAttnRuntimeKey | null
}

/**
 * Names one way to compute attention over one mask: the handle that `dispatch`, `calc_attn` and the others take. A frozen
 * value: keys made of equal arguments are equal. Made by `magi_attn_flex_key` and its relatives.
 */
export class DistAttnRuntimeKey {
  /** One for each slice, padding included. */
  readonly attn_mask_type: readonly AttnMaskType[]
  /** Number of query tokens, padding included. */
  readonly total_seqlen_q: number
  /** Number of key tokens, padding included. */
  readonly total_seqlen_k: number
  /** null: any number, as `calc_attn` finds it. */
  readonly num_heads_q: number | null
  /** null: any number, as `calc_attn` finds it. */
  readonly num_heads_kv: number | null
  /** null: any, as `calc_attn` finds it. */
  readonly head_dim: number | null
  /** Tokens that `dispatch` appends. */
  readonly pad_size: number
  /** Tokens in a chunk. */
  readonly chunk_size: number
  readonly cp_group: ProcessGroup
  /** The mesh of two dimensions that communication goes over, or null. */
  readonly cp_mesh: DeviceMesh | null
  readonly dist_attn_config: DistAttnConfig
  readonly uneven_shard: boolean
  /** MAGI_ATTENTION_DETERMINISTIC_MODE when the key was made. */
  readonly deterministic: boolean
  /** MAGI_ATTENTION_HIERARCHICAL_COMM when the key was made. */
  readonly hierarchical_comm: boolean
  /** MAGI_ATTENTION_QO_COMM when the key was made. */
  readonly qo_comm: boolean
  /** MAGI_ATTENTION_FLATTEN_HEAD_GROUPS when the key was made: kv heads are planned as sequences of their own. */
  readonly flatten_head_groups: boolean
  /** MAGI_ATTENTION_KERNEL_BACKEND when the key was made. */
  readonly kernel_backend: string
  /** MAGI_ATTENTION_PRECISION when the key was made: the dtype to compute in, or null. */
  readonly precision: DType | null
  /** MAGI_ATTENTION_AUTO_RANGE_MERGE when the key was made. */
  readonly auto_range_merge: boolean
  /** The key whose dispatch this one shares, or null. */
  readonly key_for_dispatch: DistAttnRuntimeKey | null
  readonly #q_ranges: AttnRanges
  readonly #k_ranges: AttnRanges
  readonly #hash: string

  /** @internal @throws ArgumentError without heads, where they are planned one by one */
  constructor(fields: RuntimeKeyFields) {
    const { heads, switches } = fields
    if (switches.flattenHeadGroups && heads === null) {
      throw new ArgumentError({
        argument: 'num_heads_kv',
        expected: 'numbers of heads, since MAGI_ATTENTION_FLATTEN_HEAD_GROUPS is 1',
        actual: null,
      })
    }
    this.#q_ranges = fields.q_ranges
    this.#k_ranges = fields.k_ranges
    this.attn_mask_type = Object.freeze([...fields.attn_mask_type])
    this.total_seqlen_q = fields.total_seqlen
    this.total_seqlen_k = fields.total_seqlen
    this.num_heads_q = heads?.num_heads_q ?? null
    this.num_heads_kv = heads?.num_heads_kv ?? null
    this.head_dim = heads?.head_dim ?? null
    this.pad_size = fields.pad_size
    this.chunk_size = fields.chunk_size
    this.cp_group = fields.cp_group
    this.cp_mesh = fields.cp_mesh
    this.dist_attn_config = fields.dist_attn_config
    this.uneven_shard = fields.uneven_shard
    this.deterministic = switches.deterministicMode
    this.hierarchical_comm = switches.hierarchicalComm
    this.qo_comm = switches.qoComm
    this.flatten_head_groups = switches.flattenHeadGroups
    this.kernel_backend = switches.kernelBackend
    this.precision = switches.precision
    this.auto_range_merge = switches.autoRangeMerge
    this.key_for_dispatch = fields.key_for_dispatch
    this.#hash = this.computeHash()
    Object.freeze(this)
  }

  /** A copy of the query ranges, padding included. */
  get q_ranges(): AttnRanges {
    return this.#q_ranges.clone()
  }

  /** A copy of the key ranges, padding included. */
  get k_ranges(): AttnRanges {
    return this.#k_ranges.clone()
  }

  /** Heads and head_dim, or null unless the key was made for certain ones. */
  get heads(): AttnHeads | null {
    const { num_heads_q, num_heads_kv, head_dim } = this
    if (num_heads_q === null || num_heads_kv === null || head_dim === null) return null
    return { num_heads_q, num_heads_kv, head_dim }
  }

  /** Whether the other key has the same content. Slices in another order make another key. */
  equals(other: unknown): boolean {
    return other instanceof DistAttnRuntimeKey && other.#hash === this.#hash
  }

  /** A key for maps: equal for equal keys only. Differs between processes. */
  hash(): string {
    return this.#hash
  }

  toString(): string {
    const tokens = `${this.total_seqlen_q} tokens, ${this.pad_size} of them padding`
    const place = `${this.cp_group.size()} ranks, chunks of ${this.chunk_size}`
    return `DistAttnRuntimeKey(${this.attn_mask_type.length} slices, ${tokens}, ${place})`
  }

  private computeHash(): string {
    const content = [
      this.#q_ranges.to_naive_ranges(),
      this.#k_ranges.to_naive_ranges(),
      this.attn_mask_type,
      [this.total_seqlen_q, this.pad_size, this.chunk_size, this.uneven_shard],
      [this.num_heads_q, this.num_heads_kv, this.head_dim],
      [identityOf(this.cp_group), this.cp_mesh && identityOf(this.cp_mesh)],
      this.dist_attn_config.hash(),
      [
        this.deterministic,
        this.hierarchical_comm,
        this.qo_comm,
        this.flatten_head_groups,
        this.kernel_backend,
        this.precision,
        this.auto_range_merge,
      ],
      this.key_for_dispatch?.hash() ?? null,
    ]
    return createHash('sha256').update(JSON.stringify(content)).digest('hex')
  }
}

const identities = new WeakMap<object, number>()
let numIdentities = 0

/** A number for each object, since two groups of the same ranks are two groups. */
function identityOf(object: object): number {
  const known = identities.get(object)
  if (known !== undefined) return known
  identities.set(object, ++numIdentities)
  return numIdentities
}
