/** FNV-1a over 32-bit words, with a shift that carries high bits back down. Not for hostile input. */
export function hashWords(words: Int32Array, length: number): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < length; i++) {
    hash = Math.imul(hash ^ words[i]!, 0x01000193)
    hash ^= hash >>> 15
  }
  return hash
}
