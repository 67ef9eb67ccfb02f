import { ArgumentError } from '@magi-attention/common'
import { buildTilePlan } from './build-tile-plan.js'
import { checkPlanOptions } from './check-options.js'
import { hashWords } from './hash-words.js'
import { packBands } from './pack-bands.js'
import { BAND_FIELDS, type TilePlan, type TilePlanOptions } from './tile-plan.js'

export interface PlanCacheLimits {
  /** Most plans kept. Default 256. */
  readonly maxEntries?: number
  /** Most bytes kept, plans and keys together. Default 256 MiB. A larger plan is built anew at each call. */
  readonly maxBytes?: number
}

export interface PlanCacheInfo {
  readonly hits: number
  readonly misses: number
  readonly entries: number
  /** Bytes of the kept plans and their keys. */
  readonly bytes: number
}

interface Entry {
  readonly key: Int32Array
  readonly plan: TilePlan
}

/** Integers before the bands in a key: the four sizes, and whether columns are aligned. */
const KEY_HEAD = 5

/**
 * Plans by the content of their mask and sizes; the least recently used ones leave. Equal content gives the
 * same object, so what a caller derives from a plan (a copy on a GPU) may hang on it in a WeakMap.
 */
export class PlanCache {
  readonly #maxEntries: number
  readonly #maxBytes: number
  // By hash, least recently used first. Two masks of one hash displace each other: rare enough to need no
  // chains.
  readonly #entries = new Map<number, Entry>()
  #key = new Int32Array(64)
  #hits = 0
  #misses = 0
  #bytes = 0

  /** @throws ArgumentError for limits that are not integers of at least 0. */
  constructor({ maxEntries = 256, maxBytes = 256 * 2 ** 20 }: PlanCacheLimits = {}) {
    for (const [argument, actual] of Object.entries({ maxEntries, maxBytes })) {
      if (Number.isSafeInteger(actual) && actual >= 0) continue
      throw new ArgumentError({ argument, expected: 'an integer of at least 0', actual })
    }
    this.#maxEntries = maxEntries
    this.#maxBytes = maxBytes
  }

  /** The plan for these options, built if it is not there. Throws as `buildTilePlan` does. */
  get(options: TilePlanOptions): TilePlan {
    const length = this.#writeKey(options)
    const key = this.#key
    const hash = hashWords(key, length)
    const found = this.#entries.get(hash)
    if (found !== undefined && isSameKey(found.key, key, length)) {
      this.#hits += 1
      this.#entries.delete(hash)
      this.#entries.set(hash, found)
      return found.plan
    }
    this.#misses += 1
    const plan = buildTilePlan(options)
    this.#store(hash, { key: key.slice(0, length), plan })
    return plan
  }

  /** Forgets all plans and counts. */
  clear(): void {
    this.#entries.clear()
    this.#hits = 0
    this.#misses = 0
    this.#bytes = 0
  }

  info(): PlanCacheInfo {
    return { hits: this.#hits, misses: this.#misses, entries: this.#entries.size, bytes: this.#bytes }
  }

  /**
   * Writes the key to the scratch and returns its length. Checks the options first: a wrong value must not be
   * found.
   */
  #writeKey(options: TilePlanOptions): number {
    checkPlanOptions(options)
    const { bands, numRows, numCols, tileRows, tileCols, alignCols = false } = options
    const length = KEY_HEAD + bands.length * BAND_FIELDS
    if (this.#key.length < length) this.#key = new Int32Array(2 * length)
    this.#key[0] = numRows
    this.#key[1] = numCols
    this.#key[2] = tileRows
    this.#key[3] = tileCols
    this.#key[4] = alignCols ? 1 : 0
    packBands(bands, this.#key, KEY_HEAD)
    return length
  }

  #store(hash: number, entry: Entry): void {
    this.#remove(hash)
    const size = bytesOf(entry)
    if (size > this.#maxBytes || this.#maxEntries === 0) return
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size < this.#maxEntries && this.#bytes + size <= this.#maxBytes) break
      this.#remove(oldest)
    }
    this.#entries.set(hash, entry)
    this.#bytes += size
  }

  #remove(hash: number): void {
    const entry = this.#entries.get(hash)
    if (entry === undefined) return
    this.#entries.delete(hash)
    this.#bytes -= bytesOf(entry)
  }
}

const defaultCache = new PlanCache()

/** `buildTilePlan` through the cache of this module. The plan is shared: do not write to its arrays. */
export function getTilePlan(options: TilePlanOptions): TilePlan {
  return defaultCache.get(options)
}

/** Forgets all plans that `getTilePlan` keeps, and its counts; frees those that were made on a GPU. */
export function clear_plan_cache(): void {
  defaultCache.clear()
  for (const listener of clearListeners) listener()
}

const clearListeners: (() => void)[] = []

/** For caches that hold more than tile plans: called by `clear_plan_cache`. */
export function onPlanCacheClear(listener: () => void): void {
  clearListeners.push(listener)
}

/** Hits and misses of `getTilePlan` since the last clearing, and what it keeps. */
export function plan_cache_info(): PlanCacheInfo {
  return defaultCache.info()
}

function bytesOf({ key, plan }: Entry): number {
  return key.byteLength + plan.byteLength
}

function isSameKey(stored: Int32Array, key: Int32Array, length: number): boolean {
  if (stored.length !== length) return false
  for (let i = 0; i < length; i++) if (stored[i] !== key[i]) return false
  return true
}
