import { ProcessGroup } from '@magi-attention/comm'
import { ArgumentError } from '@magi-attention/common'
import { readSwitches } from '../env.js'
import { DistAttnRuntimeKey } from './runtime-key.js'
import type { DistAttnRuntimeMgr } from './runtime-manager.js'

interface Entry {
  readonly key: DistAttnRuntimeKey
  readonly manager: DistAttnRuntimeMgr
}

/**
 * Remembers what was planned for each key. Every set of ranks has a list of its own, of at most
 * MAGI_ATTENTION_DIST_ATTN_RUNTIME_DICT_SIZE keys; when it is full, the key whose use is longest ago goes.
 */
export class DistAttnRuntimeDictManager {
  /** By ranks; within, by hash of the key, the latest last. */
  readonly #groups = new Map<string, Map<string, Entry>>()

  /** Number of keys, of one group or of all. */
  size(cp_group?: ProcessGroup | null): number {
    if (cp_group) return this.#entries(cp_group).size
    return [...this.#groups.values()].reduce((sum, entries) => sum + entries.size, 0)
  }

  /** Whether a key is there. Does not count as a use. */
  has(key: DistAttnRuntimeKey): boolean {
    return this.peek(key) !== undefined
  }

  /** What was planned for a key, which does not count as a use. */
  peek(key: DistAttnRuntimeKey): DistAttnRuntimeMgr | undefined {
    return this.#entries(requireKey(key).cp_group).get(key.hash())?.manager
  }

  /** What was planned for a key, which is the group's most recent one from now on; undefined for an unknown key. */
  get(key: DistAttnRuntimeKey): DistAttnRuntimeMgr | undefined {
    const entries = this.#entries(requireKey(key).cp_group)
    const entry = entries.get(key.hash())
    if (entry === undefined) return undefined
    entries.delete(key.hash())
    entries.set(key.hash(), entry)
    return entry.manager
  }

  /** Adds or replaces a key, which becomes the group's most recent one. */
  set(key: DistAttnRuntimeKey, manager: DistAttnRuntimeMgr): void {
    const entries = this.#entries(requireKey(key).cp_group)
    const { runtimeDictSize } = readSwitches()
    entries.delete(key.hash())
    if (runtimeDictSize > 0) entries.set(key.hash(), { key, manager })
    for (const oldest of entries.keys()) {
      if (entries.size <= Math.max(0, runtimeDictSize)) break
      entries.delete(oldest)
    }
  }

  /**
   * The key of a group that was added or used last.
   * @throws ArgumentError without a group, and for a group without keys
   */
  get_most_recent_key(cp_group: ProcessGroup): DistAttnRuntimeKey {
    const latest = [...this.#entries(requireGroup(cp_group)).values()].at(-1)
    if (latest !== undefined) return latest.key
    throw new ArgumentError({
      argument: 'cp_group',
      expected: 'a group for which a key was made',
      actual: cp_group,
      hint: 'Make one with magi_attn_flex_key.',
    })
  }

  /** Forgets the keys of a group, or, without one, all keys. */
  clear(cp_group?: ProcessGroup | null): void {
    if (cp_group === undefined || cp_group === null) this.#groups.clear()
    else this.#groups.delete(requireGroup(cp_group).ranks.join(','))
  }

  /** The keys of these ranks, without those whose group was destroyed since. */
  #entries(group: ProcessGroup): Map<string, Entry> {
    const ranks = group.ranks.join(',')
    const entries = this.#groups.get(ranks) ?? new Map<string, Entry>()
    this.#groups.set(ranks, entries)
    for (const [hash, { key }] of entries) if (key.cp_group.is_destroyed) entries.delete(hash)
    return entries
  }
}

/** The keys of this process. */
export const dist_attn_runtime_dict_mgr: DistAttnRuntimeDictManager = new DistAttnRuntimeDictManager()

/** What was planned for a key. @throws ArgumentError for anything but a key that is still remembered */
export function findRuntime(key: DistAttnRuntimeKey): DistAttnRuntimeMgr {
  const manager = dist_attn_runtime_dict_mgr.get(key)
  if (manager !== undefined) return manager
  throw new ArgumentError({
    argument: 'key',
    expected: 'a key that is remembered',
    actual: key,
    hint:
      'The dist attn runtime key does not exist any more: it was cleared, its group was destroyed, or newer keys ' +
      'took its place (MAGI_ATTENTION_DIST_ATTN_RUNTIME_DICT_SIZE).',
  })
}

function requireKey(key: unknown): DistAttnRuntimeKey {
  if (key instanceof DistAttnRuntimeKey) return key
  throw new ArgumentError({
    argument: 'key',
    expected: 'a DistAttnRuntimeKey',
    actual: key,
    hint: 'magi_attn_flex_key makes one.',
  })
}

function requireGroup(group: unknown): ProcessGroup {
  if (group instanceof ProcessGroup) return group
  throw new ArgumentError({ argument: 'cp_group', expected: 'a ProcessGroup', actual: group })
}
