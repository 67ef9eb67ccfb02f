import { ArgumentError } from '@magi-attention/common'
import type {
  FlexFlashAttnBackwardOptions,
  FlexFlashAttnForwardOptions,
  FlexFlashAttnOptions,
} from './options.js'

/** Every option with `true`, so that the compiler notices one that is missing here. */
type KeysOf<Options> = { readonly [Key in keyof Required<Options>]: true }

const shared = {
  q: true,
  k: true,
  v: true,
  q_ranges: true,
  k_ranges: true,
  attn_type_map: true,
  sink: true,
  sink_layout: true,
  softmax_scale: true,
  softcap: true,
  deterministic: true,
  sm_margin: true,
  disable_fwd_atomic_reduction: true,
  disable_bwd_dkv_atomic_reduction: true,
  ref_block_size: true,
  max_seqlen_q: true,
  auto_range_merge: true,
  swap_ab: true,
  pack_gqa: true,
  cat_gqa: true,
  sparse_load: true,
  swap_bwd_qk_loop: true,
  index_attn_indices: true,
  index_attn: true,
  q_block_size: true,
  k_block_size: true,
} as const

const funcKeys: KeysOf<FlexFlashAttnOptions> = { ...shared, return_max_logits: true }
const forwardKeys: KeysOf<FlexFlashAttnForwardOptions> = {
  ...funcKeys,
  out: true,
  lse: true,
  out_dtype: true,
}
const backwardKeys: KeysOf<FlexFlashAttnBackwardOptions> = {
  ...shared,
  out: true,
  lse: true,
  grad_out: true,
  grad_dtype: true,
}

/** A function's name and the options that it knows. */
export interface OptionKeys {
  readonly functionName: string
  readonly known: ReadonlySet<string>
}

export const FLEX_FLASH_ATTN_KEYS = optionKeys('flex_flash_attn_func', funcKeys)
export const FORWARD_KEYS = optionKeys('flex_flash_attn_forward', forwardKeys)
export const BACKWARD_KEYS = optionKeys('flex_flash_attn_backward', backwardKeys)
export const REFERENCE_KEYS = optionKeys('ref_attn_func', { ...funcKeys, grad_out: true })

function optionKeys(functionName: string, keys: object): OptionKeys {
  return { functionName, known: new Set(Object.keys(keys)) }
}

/** @throws ArgumentError if `options` is no object, or has a key that the function does not know. */
export function checkOptionKeys(options: object, keys: OptionKeys): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ArgumentError({
      argument: 'options',
      expected: `an object of options, as in ${keys.functionName}({ q, k, v, … })`,
      actual: options,
    })
  }
  for (const key in options) {
    if (!keys.known.has(key)) throw unknownKey(key, (options as Record<string, unknown>)[key], keys)
  }
}

function unknownKey(key: string, value: unknown, { functionName, known }: OptionKeys): ArgumentError {
  const near = nearestName(key, known)
  return new ArgumentError({
    argument: key,
    expected: `an option that ${functionName} knows`,
    actual: value,
    hint: near === undefined ? `It knows ${[...known].join(', ')}.` : `Did you mean ${near}?`,
  })
}

/** The name with the fewest edits, if they are few for its length. */
function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate)
    if (distance < bestDistance && distance <= Math.max(1, Math.floor(candidate.length / 3))) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, substitution))
    }
    row = next
  }
  return row[b.length]!
}
